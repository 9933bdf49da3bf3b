"""Looks on the atlas, with rendered people whose IUV is exact: clothes, heads, hems, tints and paint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcld_anim.body.garments import USUAL_HEM, garment_share, head_share, on_texels
from mcld_anim.core.errors import PictureError
from mcld_anim.options.edits import GARMENTS, Tint
from mcld_anim.source.look import make_look
from mcld_anim.source.paint import paint_on
from mcld_anim.source.recolour import bareness, toned
from mcld_anim.source.shown import Shown
from mcld_anim.source.texture import atlas_from_picture, smpl_texture, source_texture
from mcld_anim.synthetic.person import Rendering

OTHER = Path("other.png")


@pytest.fixture(scope="module")
def shown(photo: Rendering, other_photo: Rendering) -> tuple[Shown, Shown]:
    return Shown.of(photo.picture, photo.iuv), Shown.of(other_photo.picture, other_photo.iuv)


def dressed(own: Shown, other: Shown, owners: dict[str, Path], *tints: Tint) -> np.ndarray:
    look = make_look(own, {OTHER: other}, owners, tints)
    atlases = {None: (own.atlas, own.valid), OTHER: (other.atlas, other.valid)}
    return look.dressed(atlases)[0].astype(int)


def test_without_edits_nothing_changes(shown: tuple[Shown, Shown]) -> None:
    assert np.array_equal(dressed(*shown, {}), shown[0].atlas)


@pytest.mark.parametrize("garment", GARMENTS)
def test_a_garment_is_the_others_and_the_rest_stays(shown: tuple[Shown, Shown], garment: str) -> None:
    own, other = shown
    made = dressed(own, other, {garment: OTHER})
    hem = (other if garment == "upper" else own).hem or USUAL_HEM
    share = on_texels(garment_share(garment, hem))
    assert other.tone is not None
    cloth = bareness(other.atlas.astype(np.float32), other.tone) == 0  # bare skin has the own tone
    inside, outside = (share > 0.99) & other.valid & cloth, share == 0
    theirs, mine = (np.abs(made - one.atlas).mean(-1) for one in (other, own))
    assert np.median(theirs[inside]) == 0
    assert np.median(mine[inside]) > 5
    assert mine[outside].max() == 0
    seam = (share > 0.2) & (share < 0.8)
    assert seam.any()


def test_a_head_is_the_others_with_its_skin(shown: tuple[Shown, Shown]) -> None:
    own, other = shown
    made = dressed(own, other, {"head": OTHER})
    head = on_texels(head_share()) > 0.99
    assert np.array_equal(made[head], other.atlas[head])
    assert own.tone is not None
    assert other.tone is not None
    hands, before, theirs = (np.median(one[2:4][own.valid[2:4]], axis=0) for one in (made, own.atlas, other.atlas))
    assert np.abs(hands - theirs).mean() < np.abs(before - theirs).mean() / 2  # the hands go with the face


def test_the_hem_lies_between_shirt_and_trousers(shown: tuple[Shown, Shown]) -> None:
    own = shown[0]
    heights = on_texels(garment_share("upper", 0.1)) > 0.99
    two = Shown(np.where(heights[..., None], np.uint8(200), np.uint8(40)) * np.ones(3, np.uint8), own.valid)
    assert two.hem is not None
    assert abs(two.hem - 0.1) < 0.03
    plain = Shown(np.full_like(own.atlas, 90), own.valid)
    assert plain.hem is None  # one colour from head to foot


def test_a_tint_colours_cloth_and_no_skin(shown: tuple[Shown, Shown]) -> None:
    own, other = shown
    made = dressed(own, other, {}, Tint("upper", (20, 160, 40)))
    torso = on_texels(garment_share("upper", own.hem or USUAL_HEM))[1] > 0.99
    colour = np.median(made[1][torso & own.valid[1]], axis=0)
    assert np.abs(colour - [20, 160, 40]).max() < 45
    head = on_texels(head_share()) > 0.99
    assert np.array_equal(made[head], own.atlas[head])


def test_skin_takes_a_tone_with_its_shadows_and_cloth_stays() -> None:
    tone, wanted = np.array([200, 150, 120], np.uint8), np.array([100, 66, 48], np.uint8)
    skin = np.array([[200, 150, 120], [150, 112, 90]], np.float32)
    cloth = np.array([[230, 230, 230], [30, 40, 120], [40, 120, 40]], np.float32)
    assert bareness(skin, tone).min() > 0.95
    assert bareness(cloth, tone).max() == 0
    made = toned(np.concatenate([skin, cloth]), tone, wanted, np.ones(5, np.float32))
    assert np.abs(made[0] - wanted).max() < 2
    assert np.allclose(made[1] / made[0], skin[1] / skin[0], atol=0.03)
    assert np.array_equal(made[2:], cloth)


def test_what_is_painted_on_a_texture_comes_back(photo: Rendering, shown: tuple[Shown, Shown]) -> None:
    texture = source_texture(photo.picture, photo.iuv)
    assert paint_on(texture, texture, "t.png").share.max() == 0
    painted = texture.copy()
    seen = np.argwhere(texture.any(-1))
    row, column = seen[len(seen) // 2]
    spot = (slice(row - 12, row + 12), slice(column - 12, column + 12))
    where = np.zeros(texture.shape[:2], bool)
    where[spot] = texture[spot].any(-1)
    painted[where] = (255, 0, 255)
    noisy = np.where(texture.any(-1, keepdims=True), np.clip(painted.astype(int) + 4, 0, 255), 0).astype(np.uint8)
    own = shown[0]
    look = make_look(own, {}, {}, ())
    plain = atlas_from_picture(photo.picture, photo.iuv)
    for edited in (painted, noisy):
        paint = paint_on(texture, edited, "t.png")
        assert 0 < (paint.share > 0.5).mean() < 0.02
        atlas, _ = type(look)(look.parts, look.tone, (), paint).dressed({None: plain})
        again = smpl_texture(atlas)
        assert np.abs(again[where].astype(int) - [255, 0, 255]).mean() < 12
        assert np.abs(again[~where].astype(int) - texture[~where]).mean() < 0.5
    with pytest.raises(PictureError, match="is 300x512, expected 512x512"):
        paint_on(texture, painted[:, :300], "t.png")
