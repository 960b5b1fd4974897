"""Pairs that nobody wrote: the model translates a tune into another style, and learns the way back.

Sennrich, Haddow and Birch (arXiv:1511.06709), turn by turn as Lample et al. (arXiv:1711.00043) do it: of a
tune in style a the model as it stands makes one in style b; that becomes a source, and the tune, which is
real, its target. So what is learnt is always to write real music, and sources come to look like the tunes of
other styles that the model will be given, not only like sketches.
"""

from typing import TYPE_CHECKING

import torch

from kikibouba.data.event_tokens import PAD
from kikibouba.models.base import Batch
from kikibouba.models.seq2seq.decoding import say

if TYPE_CHECKING:
    from kikibouba.models.seq2seq.model import Seq2Seq


def back_translated(
    model: "Seq2Seq", batch: Batch, styles: range, generator: torch.Generator | None = None
) -> Batch:
    """A batch with sources that the model has said in other styles.

    Args:
        model: it is put into eval mode while it speaks, and back.
        batch: as for `Seq2Seq.loss`; each source begins with the symbol of its target's style.
        styles: symbols of the styles, two or more.
        generator: of the choice of styles and of symbols, which are drawn at temperature 1.

    Returns:
        The same targets; each source is the symbol of its target's style, then what was said.
    """
    longest, width = (int(n) for n in batch.lengths.amax(0))
    source, target = batch.x.split([longest, width], dim=1)
    turn = torch.randint(1, len(styles), (len(source),), generator=generator, device=source.device)
    own = source[:, 0]
    asked = torch.cat([((own - styles.start + turn) % len(styles) + styles.start)[:, None], source[:, 1:]], 1)
    was_training = model.training
    model.eval()
    said = say(model, asked, batch.lengths[:, 0], 2 * width, temperature=1.0, top_p=0.9, generator=generator)
    model.train(was_training)
    lengths = torch.tensor([1 + len(one.symbols) for one in said])
    heard = source.new_full((len(source), int(lengths.max())), PAD)
    heard[:, 0] = own
    for row, one in zip(heard, said, strict=True):
        row[1 : 1 + len(one.symbols)] = torch.from_numpy(one.symbols).to(row)
    both = torch.stack([lengths.to(batch.lengths), batch.lengths[:, 1]], 1)
    return Batch(torch.cat([heard, target], 1), both)
