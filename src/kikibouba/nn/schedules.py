"""What changes with the training step, as pure functions of it: nothing to save, nothing to resume.

Knows nothing of the rest of the package, so that models may import it too.
"""

import math


def learning_rate(step: int, initial: float, minimum: float, decay_rate: float) -> float:
    """Exponential decay towards a floor: (initial - minimum) * decay_rate^step + minimum.

    `step` counts updates already made: the first update uses `initial`.
    """
    return (initial - minimum) * decay_rate**step + minimum


def beta(step: int, max_beta: float, beta_rate: float) -> float:
    """MusicVAE's weight of the KL term: max_beta * (1 - beta_rate^step), rising from 0.

    Follows the original code: with `beta_rate` 0 (no annealing) it is still 0 at step 0, as 0^0 = 1.
    """
    return max_beta * (1.0 - beta_rate**step)


def kl_weight(step: int, final: float, start: float, decay_rate: float) -> float:
    """Sketch-RNN's weight of the KL term (eta): from `start` at step 0 towards `final`, exponentially."""
    return final - (final - start) * decay_rate**step


def sampling_probability(step: int, schedule: str, rate: float) -> float:
    """Scheduled sampling: the probability that the decoder reads its own draw instead of the true symbol.

    Args:
        step: updates already made.
        schedule: "constant" → rate; "inverse_sigmoid" → 1 - k / (k + exp(step / k)) with k = rate >= 1;
            "exponential" → 1 - rate^step.
        rate: see above.

    Returns:
        Probability in [0, 1].
    """
    if schedule == "constant":
        return rate
    if schedule == "exponential":
        return 1.0 - rate**step
    if schedule == "inverse_sigmoid":
        return 1.0 - rate / (rate + math.exp(min(step / rate, 700.0)))  # e^700 is the edge of float64
    raise ValueError(f"schedule {schedule!r} must be constant, exponential or inverse_sigmoid")
