"""A run as a Python script: the same data, the same recipe, the same numbers. Loads no torch.

A script is a list of parts, which `recon.notebook` writes as cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from napari_lossguide.data.origin import Origin
from napari_lossguide.masks import MaskRecipe
from napari_lossguide.recon.methods import method
from napari_lossguide.recon.recipe import Recipe
from napari_lossguide.types import InvalidInput

HASHES = ("input_sha256", "image_sha256")
CIRCUMSTANCES = ("napari-lossguide", "torch", "numpy", "python", "device", "threads")


class Part(NamedTuple):
    """One step of a script: what it does, in a sentence or two, and the code with the lines that it imports."""

    title: str
    text: str
    imports: tuple[str, ...]
    code: str


def as_python(
    recipe: Recipe, origin: Origin | None = None, *, provenance: Mapping[str, Any] | None = None, device: str = "auto"
) -> str:
    """A script that runs a recipe on the data that it was run on, compares the hashes and saves the result.

    Parameters
    ----------
    recipe : to run, with the changes of knobs to replay.
    origin : how to get the k-space; None for a recipe of samples, which needs none.
    provenance : of the run that the script repeats: its device and its hashes; None if it has not been run.
    device : auto, cpu, cuda or mps, where the provenance does not say.

    Raises
    ------
    InvalidInput
        If the data cannot be got again: they were made from an image, or nobody knows where they come from.
    """
    steps = [*running(recipe, origin, provenance or {}, device), saving(recipe, provenance or {}, checks=True)]
    head = f"# {what(recipe, origin)}, as napari-lossguide {recipe.version} runs it.\n# {USAGE}\n"
    bodies = [f"# {part.title}. {part.text}\n{part.code}" for part in steps]
    return "\n\n".join([f"{head}\n{import_block(steps)}", *bodies]) + "\n"


USAGE = "Run it with Python where napari-lossguide is installed; with --check it fails if the numbers are not the same."


def what(recipe: Recipe, origin: Origin | None) -> str:
    """What is run on what, in a few words."""
    chosen = method(recipe.method)
    title = chosen.title.removesuffix(" (default)")
    if not chosen.needs_data:
        return f"{recipe.samples} samples of the prior {_last(recipe.prior)}, seed {recipe.seed}"
    title += f", seed {recipe.seed}," if chosen.needs_prior else ""
    return title if origin is None else f"{title} of {' '.join(_last(origin.name).split())}"


def running(recipe: Recipe, origin: Origin | None, provenance: Mapping[str, Any], device: str) -> list[Part]:
    """The parts up to the result: data, recipe, run."""
    needs_data = method(recipe.method).needs_data
    parts = [_reading(origin)] if needs_data else []
    return [*parts, _recipe(recipe), _run(needs_data, provenance, device)]


def _reading(origin: Origin | None) -> Part:
    if origin is None or origin.kind == "image":
        was = "come from nowhere that a script could read" if origin is None else f"were made from “{origin.name}”"
        raise InvalidInput(f"The data {was}; save the k-space as a file first, so that a script can read it.")
    given = ", ".join(f"{name}={value!r}" for name, value in origin.parameters.items())
    if origin.kind == "file":
        call = f"read({', '.join(filter(None, (repr(origin.name), given)))})"
        imports, text = ["from napari_lossguide.data.readers import read"], "The file that the run read."
        code = f"# sha256 of the file: {origin.sha256}\n"
    else:
        call = f"samples.{origin.name}({given})"
        imports, text, code = ["from napari_lossguide.data import samples"], "The sample data of the run.", ""
    code += f"kdata = {call}"
    if origin.slice is not None:
        code += f"\nkdata = kdata.select({origin.slice})"
    if origin.kept is not None:
        kept = json.dumps(MaskRecipe.drawn(origin.kept).model_dump())
        imports.append("from napari_lossguide.masks import MaskRecipe")
        code += f"\nkept = MaskRecipe.model_validate_json({kept!r})\n"
        code += "kdata = kdata.undersample(kept.make(kdata.image_shape))"
    return Part("Data", text, tuple(imports), code)


def _recipe(recipe: Recipe) -> Part:
    count = len(recipe.changes)
    text = "Everything that decides the image but the data and the machine."
    if count:
        text += f" Its {count} knob change{'s' * (count != 1)} will be replayed, each at its step."
    code = f'RECIPE = r"""\n{recipe.to_json()}\n"""\nrecipe = Recipe.from_json(RECIPE)'
    return Part("Recipe", text, ("from napari_lossguide.recon.recipe import Recipe",), code)


def _run(needs_data: bool, provenance: Mapping[str, Any], device: str) -> Part:
    name, data = ("reconstruct", "kdata, ") if needs_data else ("sample", "")
    device, threads = device_of(provenance) or device, provenance.get("threads")
    imports, lines = ["from tqdm import tqdm", f"from napari_lossguide import {name}"], []
    text = "On the device that is asked for."
    if device == "cpu" and threads:
        imports.append("import torch")
        lines.append(f"torch.set_num_threads({threads})")
        text = "On as many threads as before: another number may change the last bits."
    lines += [
        'with tqdm(unit="step") as bar:',
        "",
        "    def tell(progress):",
        "        bar.total = progress.total",
        "        bar.update(progress.step - bar.n)",
        "",
        f"    result = {name}({data}recipe=recipe, device={device!r}, callback=tell)",
    ]
    return Part("Run", text, tuple(imports), "\n".join(lines))


def saving(recipe: Recipe, provenance: Mapping[str, Any], *, checks: bool) -> Part:
    """The last part: save, and compare with the run that is repeated; `checks` lets --check fail."""
    code = f"result.save({recipe.method + '.npz'!r})"
    expected = {name: provenance[name] for name in HASHES if name in provenance}
    if not expected:
        return Part("Save", "With the recipe and all that is known of the run.", (), code)
    then = {name: provenance[name] for name in CIRCUMSTANCES if name in provenance}
    lines = [
        code,
        f"expected = {_lines(expected)}",
        f"then = {_lines(then)}",
        "different = [name for name in expected if result.provenance[name] != expected[name]]",
        "now = {name: result.provenance[name] for name in then if result.provenance[name] != then[name]}",
        'print(f"{\', \'.join(different)} differ; not as then: {now}" if different else "The same, bit for bit.")',
    ]
    if checks:
        lines += ['if different and "--check" in sys.argv:', "    sys.exit(1)"]
    text = "The hashes are those of the run that this one repeats."
    return Part("Save and compare", text, ("import sys",) if checks else (), "\n".join(lines))


def device_of(provenance: Mapping[str, Any]) -> str:
    """The device to ask for, from what a run says of its own; a GPU says its name there."""
    known = str(provenance.get("device", ""))
    return known if known in ("", "cpu", "mps") else "cuda"


def _lines(values: Mapping[str, Any]) -> str:
    return "{\n" + "".join(f"    {name!r}: {value!r},\n" for name, value in values.items()) + "}"


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def import_block(parts: Sequence[Part]) -> str:
    """Their imports, each once: the standard library, other packages, this one."""
    lines = {line for part in parts for line in part.imports}
    groups = (
        sorted(line for line in lines if line == "import sys"),
        sorted((x for x in lines if x != "import sys" and "napari_lossguide" not in x), key=lambda x: (x[0] != "i", x)),
        sorted(line for line in lines if "napari_lossguide" in line),
    )
    return "\n\n".join("\n".join(group) for group in groups if group)
