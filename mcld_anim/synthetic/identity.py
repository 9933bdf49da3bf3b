"""Identity of a synthetic person: body shape, face, hair and clothes, all drawn from one seed."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from einops import repeat

from mcld_anim.body.rig import FloatArray, load_body
from mcld_anim.core.errors import UsageError

FIRST_EVALUATION_SEED = 900_000
"""First seed reserved for evaluation: no training uses it or a later one, and their body shapes come from samples that
no training person has."""
EVALUATION_SHAPES = 40
"""Number of the asset's shape samples, the last ones, that are reserved for evaluation."""

# From light to dark; linear mixtures of neighbours are used.
SKIN_TONES = np.array(
    [
        [0.98, 0.87, 0.80],
        [0.95, 0.79, 0.69],
        [0.89, 0.70, 0.56],
        [0.80, 0.60, 0.45],
        [0.66, 0.46, 0.32],
        [0.48, 0.32, 0.22],
        [0.35, 0.23, 0.17],
    ]
)
HAIR_COLOURS = np.array(
    [
        [0.07, 0.06, 0.06],
        [0.14, 0.10, 0.08],
        [0.24, 0.15, 0.09],
        [0.36, 0.23, 0.13],
        [0.50, 0.34, 0.19],
        [0.70, 0.54, 0.32],
        [0.84, 0.74, 0.54],
        [0.52, 0.20, 0.09],
        [0.42, 0.11, 0.08],
        [0.58, 0.58, 0.60],
        [0.85, 0.85, 0.87],
    ]
)
HAIR_COLOUR_SHARES = np.array([0.2, 0.16, 0.14, 0.12, 0.1, 0.08, 0.06, 0.05, 0.03, 0.04, 0.02])
HAIR_STYLES = ("bald", "buzz", "short", "bob", "long", "bun", "ponytail")
HAIR_SHARES = {
    "male": (0.1, 0.2, 0.55, 0.05, 0.05, 0.03, 0.02),
    "female": (0.0, 0.02, 0.16, 0.22, 0.34, 0.12, 0.14),
}
CLOTH_NEUTRALS = np.array(
    [
        [0.08, 0.08, 0.09],
        [0.95, 0.95, 0.94],
        [0.45, 0.46, 0.48],
        [0.72, 0.72, 0.73],
        [0.10, 0.13, 0.26],
        [0.24, 0.34, 0.52],
        [0.45, 0.57, 0.72],
        [0.80, 0.72, 0.58],
        [0.52, 0.42, 0.30],
        [0.30, 0.32, 0.22],
        [0.42, 0.08, 0.12],
    ]
)
PATTERNS = ("plain", "rows", "columns", "check", "dots", "logo", "print", "halves", "yoke")
TOP_SHARES = (0.3, 0.14, 0.07, 0.08, 0.07, 0.14, 0.1, 0.04, 0.06)
BOTTOM_SHARES = (0.72, 0.03, 0.06, 0.06, 0.03, 0.0, 0.07, 0.0, 0.03)


@dataclass(frozen=True)
class Garment:
    """One garment: two RGB colours (3,) in [0, 1] and their pattern."""

    colour: FloatArray
    second: FloatArray
    pattern: str
    frequency: float  # cycles per metre
    picture: FloatArray  # (64, 64, 3), for the pattern "print"
    logo: int  # index of the logo's shape
    logo_size: float  # metres
    logo_drop: float  # metres below the shoulders


@dataclass(frozen=True)
class Hair:
    style: str
    colour: FloatArray
    line: float  # metres from the eyes up to the hairline
    volume: float  # thickness in metres
    length: float  # metres from the eyes down to the ends, for hanging hair
    strands: float  # contrast of the strands


@dataclass(frozen=True)
class Face:
    brow: FloatArray
    brow_height: float  # metres above the eyes
    brow_width: float
    iris: FloatArray
    lips: FloatArray
    beard: float  # 0 = none, 1 = full; in between is stubble
    moustache: bool
    glasses: str  # "none", "round", "square"
    frame: FloatArray
    freckles: float
    blush: float


@dataclass(frozen=True)
class Outfit:
    """Clothes. `sleeve` and `hem` are in limb coordinates (`anatomy.ARM`, `anatomy.LEG`): 1 is the elbow or knee, 2 the
    wrist or ankle."""

    top: Garment
    bottom: Garment
    sleeve: float  # below 0: sleeveless
    neckline: str  # "round", "v"
    neck_depth: float  # metres
    kind: str  # "trousers", "skirt", "dress"
    hem: float  # where trousers, skirt or dress end
    flare: float  # widening of a skirt towards its hem
    waist: float  # metres above the crotch
    tucked: bool
    belt: FloatArray | None
    top_looseness: float  # metres between cloth and body
    bottom_looseness: float
    shoe: FloatArray
    shoe_sole: FloatArray
    sock: FloatArray | None
    folds: FloatArray  # (3, 4) random phases and directions of the cloth's folds


@dataclass(frozen=True)
class Identity:
    seed: int
    male: bool
    shape: FloatArray  # shape coefficients of the body, standard deviations
    face_shape: FloatArray  # shape coefficients of the face, standard deviations
    stature: float  # metres
    skin: FloatArray
    hair: Hair
    face: Face
    outfit: Outfit


def check_held_out(first_seed: int) -> None:
    """Raise UsageError for a seed of the training data."""
    if first_seed < FIRST_EVALUATION_SEED:
        raise UsageError(
            f"--seed {first_seed}: people below {FIRST_EVALUATION_SEED} are training data and prove nothing; "
            f"choose {FIRST_EVALUATION_SEED} or more"
        )


def identity_from_seed(seed: int) -> Identity:
    """The identity of `seed`; from `FIRST_EVALUATION_SEED` on, with a body shape that no training person has."""
    if seed < 0:
        raise UsageError(f"A person's seed must not be negative, but {seed} was given.")
    generator = np.random.default_rng([seed, 1])
    body = load_body()
    samples = len(body.shape_coefficients)
    training = samples - EVALUATION_SHAPES
    sample = int(
        generator.integers(training, samples) if seed >= FIRST_EVALUATION_SEED else generator.integers(training)
    )
    shape = body.shape_coefficients[sample] + generator.normal(0, 0.2, body.shape_coefficients.shape[1])
    male = bool(body.shape_genders[sample] < 0.5)
    stature = generator.normal(1.75 if male else 1.67, 0.04)
    face_shape = np.clip(generator.normal(0, 0.9, len(body.face_basis)), -1.8, 1.8)
    skin = draw_skin(generator)
    hair = draw_hair(generator, male)
    return Identity(
        seed=seed,
        male=male,
        shape=shape,
        face_shape=face_shape,
        stature=float(np.clip(stature, 1.58, 1.86)),
        skin=skin,
        hair=hair,
        face=draw_face(generator, male, skin, hair),
        outfit=draw_outfit(generator, male),
    )


def hsv(hue: float, saturation: float, value: float) -> FloatArray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def draw_skin(generator: np.random.Generator) -> FloatArray:
    place = generator.random() * (len(SKIN_TONES) - 1)
    index = int(place)
    mixed = SKIN_TONES[index] * (index + 1 - place) + SKIN_TONES[index + 1] * (place - index)
    return np.clip(mixed * generator.uniform(0.95, 1.04) + generator.normal(0, 0.015, 3), 0.05, 1)


def draw_hair(generator: np.random.Generator, male: bool) -> Hair:
    style = str(generator.choice(HAIR_STYLES, p=HAIR_SHARES["male" if male else "female"]))
    colour = HAIR_COLOURS[generator.choice(len(HAIR_COLOURS), p=HAIR_COLOUR_SHARES)] * generator.uniform(0.85, 1.15)
    if generator.random() < 0.03:
        colour = hsv(generator.random(), generator.uniform(0.4, 0.8), generator.uniform(0.4, 0.8))
    length = generator.uniform(0.10, 0.15) if style == "bob" else generator.uniform(0.24, 0.46)
    return Hair(
        style=style,
        colour=np.clip(colour + generator.normal(0, 0.015, 3), 0.02, 1),
        line=generator.uniform(0.050, 0.074),
        volume=generator.uniform(0.010, 0.026) if style not in ("bald", "buzz") else 0.002,
        length=length,
        strands=generator.uniform(0.06, 0.2),
    )


def draw_face(generator: np.random.Generator, male: bool, skin: FloatArray, hair: Hair) -> Face:
    lips = skin * np.array([0.95, 0.66, 0.66]) * generator.uniform(0.8, 1.05)
    if not male and generator.random() < 0.45:
        lips = 0.5 * lips + 0.5 * hsv(
            generator.uniform(-0.06, 0.03), generator.uniform(0.5, 0.85), generator.uniform(0.45, 0.85)
        )
    beard = 0.0
    if male and generator.random() < 0.45:
        beard = generator.choice([generator.uniform(0.12, 0.3), generator.uniform(0.6, 0.95)])
    return Face(
        brow=np.clip(hair.colour * generator.uniform(0.45, 0.9), 0.02, 0.8),
        brow_height=generator.uniform(0.017, 0.024),
        brow_width=generator.uniform(0.0022, 0.0048) * (1.2 if male else 0.9),
        iris=hsv(
            float(generator.choice([0.07, 0.08, 0.09, 0.55, 0.6, 0.33])),
            generator.uniform(0.35, 0.8),
            generator.uniform(0.15, 0.6),
        ),
        lips=np.clip(lips, 0, 1),
        beard=float(beard),
        moustache=bool(beard > 0.2 or (male and generator.random() < 0.08)),
        glasses=str(generator.choice(["none", "round", "square"], p=[0.84, 0.08, 0.08])),
        frame=draw_colour(generator) * 0.4,
        freckles=float(generator.random() < 0.12) * generator.uniform(0.1, 0.3),
        blush=generator.uniform(0.05, 0.4),
    )


def draw_colour(generator: np.random.Generator) -> FloatArray:
    """A colour of cloth: neutral half of the time, otherwise any hue."""
    if generator.random() < 0.5:
        return np.clip(
            CLOTH_NEUTRALS[generator.integers(len(CLOTH_NEUTRALS))] * generator.uniform(0.85, 1.1), 0.03, 0.97
        )
    return hsv(generator.random(), generator.uniform(0.25, 0.92), generator.uniform(0.25, 0.97))


def draw_garment(generator: np.random.Generator, shares: tuple[float, ...]) -> Garment:
    colour, second = draw_colour(generator), draw_colour(generator)
    while np.abs(colour - second).max() < 0.15:  # the pattern must be visible
        second = draw_colour(generator)
    cells = generator.random((int(generator.integers(3, 8)),) * 2 + (1,))
    third = draw_colour(generator)
    blotches = np.where(cells < 0.45, colour, np.where(cells < 0.75, second, third))
    side = int(np.ceil(64 / len(blotches)))
    picture = repeat(blotches, "h w rgb -> (h down) (w across) rgb", down=side, across=side)[:64, :64]
    if generator.random() < 0.6:
        for axis in (0, 1):
            picture = np.mean([np.roll(picture, shift, axis) for shift in range(-4, 5)], 0)
    return Garment(
        colour=colour,
        second=second,
        pattern=str(generator.choice(PATTERNS, p=np.array(shares) / sum(shares))),
        frequency=generator.uniform(7, 24),
        picture=picture,
        logo=int(generator.integers(4)),
        logo_size=generator.uniform(0.04, 0.09),
        logo_drop=generator.uniform(0.05, 0.14),
    )


def draw_outfit(generator: np.random.Generator, male: bool) -> Outfit:
    kind = str(generator.choice(["trousers", "skirt", "dress"], p=[1, 0, 0] if male else [0.58, 0.2, 0.22]))
    top = draw_garment(generator, TOP_SHARES)
    hems = {
        "trousers": [0.45, 0.8, 1.4, 1.95],
        "skirt": [0.6, 0.85, 1.25, 1.7],
        "dress": [0.55, 0.85, 1.2, 1.75],
    }
    hem_shares = {
        "trousers": [0.12, 0.13, 0.1, 0.65],
        "skirt": [0.3, 0.4, 0.2, 0.1],
        "dress": [0.25, 0.4, 0.2, 0.15],
    }
    return Outfit(
        top=top,
        bottom=top if kind == "dress" else draw_garment(generator, BOTTOM_SHARES),
        sleeve=float(generator.choice([-0.1, 0.35, 0.55, 1.0, 1.85], p=[0.14, 0.2, 0.28, 0.13, 0.25])),
        neckline=str(generator.choice(["round", "v"])),
        neck_depth=generator.uniform(0.0, 0.05 if male else 0.09),
        kind=kind,
        hem=float(generator.choice(hems[kind], p=hem_shares[kind]) + generator.uniform(-0.08, 0.06)),
        flare=generator.uniform(0.0, 0.10) if generator.random() < 0.6 else generator.uniform(0.1, 0.22),
        waist=generator.uniform(0.04, 0.13),
        tucked=bool(generator.random() < 0.5),
        belt=draw_colour(generator) * 0.5 if generator.random() < 0.25 else None,
        top_looseness=generator.uniform(0.003, 0.018),
        bottom_looseness=generator.uniform(0.003, 0.016),
        shoe=draw_colour(generator),
        shoe_sole=np.full(3, generator.choice([0.93, 0.12, 0.5])),
        sock=draw_colour(generator) if generator.random() < 0.5 else None,
        folds=generator.uniform(0, 2 * np.pi, (3, 4)),
    )
