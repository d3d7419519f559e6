"""Trains the small networks of ``ccip-demo`` on drawings. Needs PyTorch, which nothing else here does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found,unused-ignore]
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn  # type: ignore[import-not-found,unused-ignore]
from torch.nn import functional as F  # type: ignore[import-not-found,unused-ignore]  # noqa: N812 - its usual name

from . import character as traits
from .character import Character, Piece
from .colours import oklch, to_oklch
from .model_graph import AGAIN, CELLS, FIND, FIND_POOL, MEAN, STD, VIEWS, Layer, View, cells

logger = logging.getLogger(__name__)

EMBEDDING = 96
PIECES = (*traits.HEAD_PIECES, *traits.HAIR_PIECES, *traits.HATS, *traits.FACE_PIECES)
BACKS = tuple(dict.fromkeys((*traits.GIRL_BACKS, *traits.BOY_BACKS)))
KINDS = (len(traits.BANGS), len(BACKS), len(traits.SIDES), len(traits.EYE_SHAPES), 3, 2)
BATCH, RATE = 48, 3e-3
FIND_EPOCHS, CORRECT_EPOCHS, LOOK_EPOCHS = 12, 18, 12
SCALE, MARGIN = 16.0, 0.2  # of the normalised softmax over characters
NEARNESS = 0.15  # up to about which difference colours count as alike


class Stack(nn.Module):
    """The layers of a part of the graph, with batch normalisation that is folded away later."""

    def __init__(self, layers: tuple[Layer, ...], out: int) -> None:
        super().__init__()
        inputs = [3, *(layer.out for layer in layers)]
        self.layers = layers
        self.convs = nn.ModuleList(
            nn.Conv2d(a, layer.out, layer.kernel, layer.stride, layer.pad, layer.dilation, bias=False)
            for a, layer in zip(inputs, layers, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.out) for layer in layers)
        self.last = nn.Conv2d(layers[-1].out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for layer, conv, norm in zip(self.layers, self.convs, self.norms, strict=True):
            y = norm(conv(x))
            x = F.relu(y + x if layer.added else y)
        return self.last(x)

    def folded(self, part: str, last: str) -> dict[str, NDArray[np.float32]]:
        """The weights by their names in the graph, batch normalisation folded into the convolutions."""
        weights = {f"{last}.weight": self.last.weight, f"{last}.bias": self.last.bias}
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights[f"{part}{i}.weight"] = conv.weight * gain[:, None, None, None]
            weights[f"{part}{i}.bias"] = norm.bias - norm.running_mean * gain
        return {name: value.detach().contiguous().numpy() for name, value in weights.items()}


class Corrector(nn.Module):
    """The part of the network that corrects the position of a detected face."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = Stack(AGAIN.layers, AGAIN.channels)
        self.better = nn.Linear(AGAIN.length, 4)

    def forward(self, cut: Tensor) -> Tensor:
        """How far the face is, in its size, and the logarithm of how much larger it is: (n, 4)."""
        return self.better(F.relu(self.stack(cut)).flatten(1))


class Looker(nn.Module):
    """The part of the network that embeds head and eyes."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks = nn.ModuleDict({name: Stack(view.layers, view.channels) for name, view in VIEWS.items()})
        self.embed = nn.Linear(sum(view.length for view in VIEWS.values()), EMBEDDING, bias=False)
        self.forget = nn.Dropout(0.2)

    def forward(self, cuts: dict[str, Tensor]) -> Tensor:
        """What is kept of the normalised cuts of each view."""
        kept = [F.relu(stack(cuts[name])).flatten(1) for name, stack in self.stacks.items()]
        return self.forget(torch.cat(kept, dim=1))


class Questions(nn.Module):
    """What is asked of the features while training: who it is, and what they look like."""

    def __init__(self, n_looks: int, width: int) -> None:
        super().__init__()
        self.ideal = nn.Linear(n_looks, EMBEDDING, bias=False)
        self.colours = nn.Linear(width, 9)
        self.kinds = nn.ModuleList(nn.Linear(width, n) for n in KINDS)
        self.pieces = nn.Linear(width, len(PIECES) + 1)

    def loss(self, seen: Tensor, embedding: Tensor, who: Tensor, looks: dict[str, Tensor]) -> Tensor:
        ideals = self.ideal(looks["all"])
        cosines = F.normalize(embedding) @ F.normalize(ideals).T
        margin = F.one_hot(who, len(ideals)) * MARGIN
        total = F.cross_entropy(SCALE * (cosines - margin), who)
        total = total + 6.0 * F.smooth_l1_loss(self.colours(seen), looks["colours"][who], beta=0.1)
        for i, head in enumerate(self.kinds):
            total = total + 0.25 * F.cross_entropy(head(seen), looks["kinds"][who, i])
        pieces = F.binary_cross_entropy_with_logits(self.pieces(seen), looks["pieces"][who])
        return total + 2.0 * pieces


class Pixels:
    """Drawings at the input sizes of the network, as uint8.

    Attributes:
        by_pool: for each number of pixels that a mean is taken over, ``(n, 384 / pool, 384 / pool, 3)``
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        pools = {FIND_POOL, *(view.pool for view in VIEWS.values())} - {1}
        self.by_pool = {1: images} | {pool: _pooled(images, pool) for pool in pools}

    def __len__(self) -> int:
        return len(self.by_pool[1])

    def cut(self, view: View, chosen: NDArray[np.int64], faces: NDArray[np.float32]) -> Tensor:
        """What a view shows of the chosen images with ``faces``, as GridSample cuts it: (n, 3, rows, columns)."""
        images = self.by_pool[view.pool]
        side = images.shape[1]
        places = view.grid()[None] * faces[:, None, None, 2:] + faces[:, None, None, :2]
        places = np.clip(((places + 1) * side - 1) / 2, 0, side - 1)
        low = np.floor(places).astype(np.int64)
        share = (places - low).astype(np.float32)
        x0, y0 = low[..., 0], low[..., 1]
        x1, y1 = np.minimum(x0 + 1, side - 1), np.minimum(y0 + 1, side - 1)
        which, (fx, fy) = chosen[:, None, None], np.moveaxis(share, -1, 0)[..., None]
        upper = images[which, y0, x0] * (1 - fx) + images[which, y0, x1] * fx
        lower = images[which, y1, x0] * (1 - fx) + images[which, y1, x1] * fx
        return _normalised(upper * (1 - fy) + lower * fy)


def train_finder(pixels: Pixels, faces: NDArray[np.float32], *, kept: Path, epochs: int = FIND_EPOCHS) -> Stack:
    """Trains what finds the face.

    Args:
        pixels: of the drawings
        faces: ``(n, 4)`` middle and size of the face in each, from -1 to 1 over the image
        kept: a file for the state after every epoch; if it exists, training resumes from it
        epochs (12): how often every image is seen
    """
    torch.manual_seed(1)
    finder = Stack(FIND, 5)

    def loss(chosen: NDArray[np.int64], random: np.random.Generator) -> Tensor:
        small, true = _moved(_normalised(pixels.by_pool[FIND_POOL][chosen]), faces[chosen], random)
        place = ((true[:, :2] + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)
        index = place[:, 1] * CELLS + place[:, 0]
        found = finder(small).flatten(2)
        there = found[torch.arange(len(found)), 1:, index]
        middle = torch.from_numpy(cells()).T[index]
        wanted = torch.cat([(true[:, :2] - middle) * CELLS, torch.log(true[:, 2:])], dim=1)
        scaled = torch.cat([there[:, :2] * CELLS, there[:, 2:]], dim=1)
        return F.cross_entropy(found[:, 0], index) + 6.0 * F.smooth_l1_loss(scaled, wanted, beta=0.1)

    _train("finding faces", finder, loss, len(pixels), epochs, kept)
    return finder.eval()


def train_corrector(
    pixels: Pixels, faces: NDArray[np.float32], *, kept: Path, epochs: int = CORRECT_EPOCHS
) -> Corrector:
    """Trains what corrects the place and size of a face; arguments as for :func:`train_finder`."""
    torch.manual_seed(2)
    corrector = Corrector()

    def loss(chosen: NDArray[np.int64], random: np.random.Generator) -> Tensor:
        true = faces[chosen]
        rough = _roughly(true, random, place=0.25, size=0.2)
        cut = _tinted(pixels.cut(AGAIN, chosen, rough), *_tint(random, len(chosen)))
        moved, grown = (true[:, :2] - rough[:, :2]) / rough[:, 2:], np.log(true[:, 2:] / np.abs(rough[:, 2:]))
        wanted = torch.from_numpy(np.concatenate([moved, grown], axis=1))
        return F.smooth_l1_loss(corrector(cut), wanted, beta=0.05)

    _train("correcting faces", corrector, loss, len(pixels), epochs, kept)
    return corrector.eval()


def train_looker(
    pixels: Pixels,
    faces: NDArray[np.float32],
    who: NDArray[np.int64],
    cast: list[Character],
    *,
    kept: Path,
    epochs: int = LOOK_EPOCHS,
) -> Looker:
    """Trains the part of the network that embeds head and eyes.

    Args:
        pixels: of the drawings
        faces: ``(n, 4)`` middle and size of the face in each, as drawn
        who: ``(n,)`` indices into ``cast``
        cast: the characters
        kept: as for :func:`train_finder`
        epochs (12): how often every image is seen
    """
    torch.manual_seed(3)
    looker, looks = Looker(), _looks(cast)
    questions = Questions(looks["all"].shape[1], looker.embed.in_features)

    def loss(chosen: NDArray[np.int64], random: np.random.Generator) -> Tensor:
        rough = _roughly(faces[chosen], random, place=0.05, size=0.06)
        tint = _tint(random, len(chosen))
        cuts = {name: _tinted(pixels.cut(view, chosen, rough), *tint) for name, view in VIEWS.items()}
        seen = looker(cuts)
        return questions.loss(seen, looker.embed(seen), torch.from_numpy(who[chosen]), looks)

    _train("looking at faces", nn.ModuleList([looker, questions]), loss, len(pixels), epochs, kept)
    return looker.eval()


def folded(finder: Stack, corrector: Corrector, looker: Looker) -> dict[str, NDArray[np.float32]]:
    """The weights by their names in the graph, all but the last, which is not trained."""
    weights = finder.folded("find", "face") | corrector.stack.folded("again", "again")
    weights["better.weight"] = corrector.better.weight.detach().numpy()
    weights["better.bias"] = corrector.better.bias.detach().numpy()
    weights["out.weight"] = looker.embed.weight.detach().numpy()
    for name, stack in looker.stacks.items():
        weights |= stack.folded(name, name)
    return weights


def _train(
    what: str,
    network: nn.Module,
    loss_of: Callable[[NDArray[np.int64], np.random.Generator], Tensor],
    n: int,
    epochs: int,
    kept: Path,
) -> None:
    """Trains ``network``; broken off and begun again, it comes to the same end as in one go."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    steps = n // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps * epochs, pct_start=0.15)
    random = np.random.default_rng(0)
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    done = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        random.bit_generator.state, done = state["random"], state["epochs"]
        torch.set_rng_state(state["torch"])
    for epoch in range(done, epochs):
        order, mean = random.permutation(n), 0.0
        for step in range(steps):
            loss = loss_of(np.sort(order[step * BATCH : (step + 1) * BATCH]), random)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            mean += loss.item() / steps
        logger.info("%s: epoch %d of %d, loss %.3f", what, epoch + 1, epochs, mean)
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"random": random.bit_generator.state, "torch": torch.get_rng_state(), "epochs": epoch + 1}
        torch.save(state, kept)


def prepare() -> None:
    """Makes training repeatable on one kind of processor: sums in one order."""
    torch.set_num_threads(1)  # the networks are too small to gain from more
    torch.use_deterministic_algorithms(True)


def _pooled(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Means over ``side`` x ``side`` pixels."""
    n, height, width, _ = images.shape
    pooled = np.empty((n, height // side, width // side, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        pooled[i] = np.asarray(Image.fromarray(image).reduce(side))
    return pooled


def _normalised(images: NDArray) -> Tensor:
    """``(n, rows, columns, 3)`` from 0 to 255 -> ``(n, 3, rows, columns)`` as the model gets it."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _roughly(
    faces: NDArray[np.float32], random: np.random.Generator, *, place: float, size: float
) -> NDArray[np.float32]:
    """Faces as they could have been found, half of them mirrored, which a negative width stands for."""
    n = len(faces)
    rough = np.empty_like(faces)
    rough[:, :2] = faces[:, :2] + random.normal(0, place, (n, 2)) * faces[:, 2:]
    rough[:, 2:] = faces[:, 2:] * np.exp(random.normal(0, size, (n, 1)) + random.normal(0, size / 2, (n, 2)))
    rough[:, 2] *= random.choice([-1.0, 1.0], n)
    return rough


def _tint(random: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors and summands for the colours of ``n`` images."""
    return random.normal(1, 0.05, (n, 3)), random.normal(0, 0.06, (n, 3))


def _tinted(x: Tensor, gain: NDArray[np.float64], more: NDArray[np.float64]) -> Tensor:
    return x * torch.from_numpy(gain).float()[:, :, None, None] + torch.from_numpy(more).float()[:, :, None, None]


def _moved(x: Tensor, faces: NDArray[np.float32], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images mirrored, moved, stretched and tinted a little, and where their faces are then."""
    n = len(x)
    zoom = random.uniform(0.85, 1.15, (n, 2))
    move = random.uniform(-0.12, 0.12, (n, 2))
    mirrored = random.choice([-1.0, 1.0], n)
    affine = np.zeros((n, 2, 3))
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = mirrored * zoom[:, 0], zoom[:, 1], move
    grid = F.affine_grid(torch.from_numpy(affine).float(), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    middle = (faces[:, :2] - move) / zoom
    middle[:, 0] *= mirrored
    return _tinted(x, *_tint(random, n)), torch.from_numpy(
        np.concatenate([middle, faces[:, 2:] / zoom], axis=1)
    ).float()


def _looks(cast: list[Character]) -> dict[str, Tensor]:
    """What every character looks like, as targets."""
    kinds = [
        (
            traits.BANGS.index(c.hair.bangs),
            BACKS.index(c.hair.back),
            traits.SIDES.index(c.hair.sides),
            traits.EYE_SHAPES.index(c.eyes.shape),
            c.hair.ahoge,
            int(c.build == "boy"),
        )
        for c in cast
    ]
    colours = [[*_place(c.hair.colour), *_place(c.eyes.colour), *_place(c.skin)] for c in cast]
    pieces = [[*_worn(c.pieces), float(c.hair.tips is not None or c.hair.streak is not None)] for c in cast]
    looks = {"kinds": torch.tensor(kinds), "colours": torch.tensor(colours), "pieces": torch.tensor(pieces)}
    chosen = [F.one_hot(looks["kinds"][:, i], n).float() for i, n in enumerate(KINDS)]
    near = [
        torch.exp(-((looks["colours"][:, None, at : at + 3] - _places(palette)) ** 2).sum(2) / (2 * NEARNESS**2))
        for at, palette in ((0, traits.HAIR_COLOURS), (3, traits.EYE_COLOURS))
    ]
    return looks | {"all": torch.cat([*chosen, *near, looks["colours"], looks["pieces"]], dim=1)}


def _places(palette: tuple[tuple[float, float, float], ...]) -> Tensor:
    return torch.tensor([_place(oklch(*colour)) for colour in palette])


def _worn(pieces: tuple[Piece, ...]) -> list[float]:
    kinds = {piece.kind for piece in pieces}
    return [float(kind in kinds) for kind in PIECES]


def _place(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """A colour as lightness and two opponent colours, all about 0..1 in range."""
    lightness, chroma, hue = to_oklch(colour)
    return lightness, 4 * chroma * float(np.cos(np.radians(hue))), 4 * chroma * float(np.sin(np.radians(hue)))
