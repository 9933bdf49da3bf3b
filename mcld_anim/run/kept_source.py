"""The form of the kept encoded source: apart from `kept_forms`, since it imports the diffusion model."""

from __future__ import annotations

from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.attention import KeyValues, ProjectedAppearance
from mcld_anim.model.focal import FocalTokens
from mcld_anim.run.kept import Form
from mcld_anim.run.kept_forms import packed_form
from mcld_anim.source.face import Face

SOURCE_FORM: Form[SourceAppearance] = packed_form(
    (SourceAppearance, FocalTokens, ProjectedAppearance, KeyValues, Face), lambda source: source, lambda it: it
)
