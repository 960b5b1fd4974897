"""Which style is it in? A judge that was not trained with the translator: logistic regression on profiles."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class StyleJudge:
    """A linear classifier of style profiles."""

    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    """[F + 1, styles], the last row being the bias"""

    @classmethod
    def fit(
        cls, profiles: np.ndarray, styles: np.ndarray, penalty: float = 1e-2, steps: int = 300
    ) -> "StyleJudge":
        """Multinomial logistic regression, styles weighing alike however many examples they have.

        Args:
            profiles: [n, F] of `seq2seq_music.style_profile`.
            styles: [n] int, 0 … K - 1, each of them at least once.
            penalty: on the squared weights.
            steps: of gradient descent with momentum.
        """
        mean, spread = profiles.mean(axis=0), np.maximum(profiles.std(axis=0), 1e-3)
        x = np.column_stack([(profiles - mean) / spread, np.ones(len(profiles))])
        wanted = np.eye(int(styles.max()) + 1)[styles]
        share = (wanted / wanted.sum(axis=0)).sum(axis=1, keepdims=True) / wanted.shape[1]
        weights, velocity = np.zeros((2, x.shape[1], wanted.shape[1]))
        for _ in range(steps):
            gradient = x.T @ (share * (_softmax(x @ weights) - wanted)) + penalty * weights
            velocity = 0.9 * velocity - 0.1 * gradient
            weights = weights + velocity
        return cls(mean, spread, weights)

    def judge(self, profiles: np.ndarray) -> np.ndarray:
        """The likeliest style [n] of profiles [n, F]."""
        x = np.column_stack([(profiles - self.mean) / self.spread, np.ones(len(profiles))])
        return (x @ self.weights).argmax(axis=1)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def profile_cosine(profiles: np.ndarray, others: np.ndarray) -> float:
    """Cosine of the mean profiles of two sets [n, F]."""
    a, b = profiles.mean(axis=0), others.mean(axis=0)
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))
