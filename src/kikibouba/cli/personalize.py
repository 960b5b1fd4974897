"""Make a model your own: it learns a song in seconds, or a few songs or drawings, and makes more of the kind.

The folder gets a small bridge over the model (config.json, model.safetensors, README.md, metrics.json,
loss.png), which every verb takes as a model, samples, and report.json: how far samples of the model and of
the personal one are from the songs. Four sliders, z1 to z4, are moved with --attribute: see the second line.

Example:
  kikibouba personalize examples/morning_walk.mid --model mel_2bar -o mine --also wav
  kikibouba sample mine -o calmer --attribute z1=-1.5
  kikibouba plot sliders mine -o sliders.png
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import (
    add_also,
    add_device,
    add_overrides,
    add_seed,
    add_temperature,
    make_folder,
    numbered,
    write_all,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba personalize`."""
    parser.add_argument("songs", nargs="+", type=Path, metavar="SONG", help="music or drawings, one kind")
    parser.add_argument("--model", help="bundled name or folder of the base (default: found by kind)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the bridge")
    parser.add_argument(
        "--preset",
        default="personal",
        help="personal (default), or as the originals do it: midime, ae-cat-mel_2bar_big; or a .toml",
    )
    add_overrides(parser, "model.latent_size=8")
    parser.add_argument("--steps", type=int, metavar="N", help="of training (default: the preset's)")
    parser.add_argument(
        "--augment", action="store_true", help="learn from variations too, where the songs hold too little"
    )
    parser.add_argument("-n", type=int, default=5, help="samples to write (default 5)")
    add_also(parser)
    add_temperature(parser, 0.5)
    add_seed(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Personalise, sample, and compare."""
    import json

    from tqdm import tqdm

    from kikibouba.cli.common import overrides
    from kikibouba.config import load_preset
    from kikibouba.data.files import write_text
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import default_model, load_model
    from kikibouba.personal_report import compare, report_lines, slider_lines
    from kikibouba.personalizing import make_personal
    from kikibouba.train.log import plot_loss

    if args.n < 0:
        raise KikiboubaError(f"cannot make {args.n} samples; give 0 or more")
    preset = load_preset(args.preset, overrides(args.set))
    base = load_model(args.model or default_model(args.songs[0]), args.device)
    with tqdm(unit="step", leave=False, disable=None) as bar:

        def progress(done: int, steps: int, loss: float) -> None:
            bar.total = steps
            bar.set_postfix(loss=f"{loss:.3g}", refresh=False)
            bar.update(done - bar.n)

        made = make_personal(
            base,
            args.songs,
            preset=preset,
            out=args.out,
            steps=args.steps,
            augment=args.augment,
            seed=args.seed,
            progress=progress,
        )
    plot_loss(args.out)
    report = compare(made.model, base, made.songs.examples, seed=args.seed, temperature=args.temperature)
    for line in [*slider_lines(made.sliders), *report_lines(report)]:
        print(line)
    print(write_text(args.out / "report.json", json.dumps(report, indent=2) + "\n"))
    if args.n:
        samples = made.model.sample(args.n, args.temperature, args.seed)
        names = [f"{made.model.name}-{number}" for number in numbered(args.n)]
        write_all(samples, make_folder(args.out / "samples"), names, args.also)
    print(args.out)
