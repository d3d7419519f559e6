"""1,000 malformed images among good ones, through the pipeline of datasets."""

import json
import re

import numpy as np
import pytest

from tests.attacks.malformed import malformed_files
from tests.support.images.odd_images import drawing, encode

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

N_MALFORMED, N_GOOD = 1000, 40
MAX_PIXELS, MEMORY = 20_000_000, 256 << 20
ROOM = 512 << 20
"""Bytes that the process may grow by: two of the largest images, and what the decoders take beside."""

EMBED = """
    import json, re, sys
    from pathlib import Path

    import fiftyone as fo
    import numpy as np
    from ccip_plugin import add_images, compute_embeddings

    name, good, all_images, model_dir, out = sys.argv[1:6]
    max_pixels, memory = map(int, sys.argv[6:])
    peaks = []
    for folder, kind in ((good, "good"), (all_images, "all")):
        dataset = fo.Dataset(f"{name} {kind}")
        add_images(dataset, *sorted(Path(folder).iterdir()))
        report = compute_embeddings(dataset, model_dir=model_dir, max_pixels=max_pixels, memory=memory, workers=2)
        paths, vectors, errors = dataset.values(["filepath", "ccip_embedding", "ccip_error"])
        status = Path("/proc/self/status")
        text = status.read_text() if status.exists() else "VmHWM: 0 kB"  # only Linux says it
        peaks.append(int(re.search(r"VmHWM:\\s+(\\d+) kB", text)[1]) * 1024)
        dataset.delete()
        names = [Path(path).name for path in paths]
        np.savez(f"{out}/{kind}.npz", **{n: v for n, v in zip(names, vectors) if v is not None})
        Path(out, f"{kind}.json").write_text(json.dumps({
            "errors": dict(zip(names, errors)),
            "counts": [report.n_total, report.n_computed, report.n_failed, report.n_gone],
            "grown": peaks[-1] - peaks[0],
        }))
"""

RAW = re.compile(r"Traceback|<[\w.]+ object|<class |0x[0-9a-f]{6,}|\n|^\w*(Error|Exception)\b")
"""What a plain reason does not have."""


@pytest.fixture
def folders(seed, tmp_path):
    """The folders of the good images, and of these and the malformed ones."""
    good, everything = tmp_path / "good", tmp_path / "all"
    good.mkdir()
    everything.mkdir()
    for number in range(N_GOOD):
        kind = ("PNG", "JPEG", "WEBP")[number % 3]
        name, content = f"{number * N_MALFORMED // N_GOOD:04d} good.{kind.lower()}", encode(drawing(seed=number), kind)
        for folder in (good, everything):
            (folder / name).write_bytes(content)
    for file in malformed_files(seed, N_MALFORMED):
        (everything / file.name).write_bytes(file.content)
    return good, everything


def test_malformed_images(seed, folders, run_python, model_dir, tmp_path):
    """Each is embedded or fails with a plain reason; the process lives, and the others get the vectors they would."""
    done = run_python(EMBED, f"malformed {seed}", *folders, model_dir, tmp_path, MAX_PIXELS, MEMORY, timeout=300)
    assert (done.stdout, done.stderr) == ("", "")
    result = json.loads((tmp_path / "all.json").read_text())
    errors, n = result["errors"], N_MALFORMED + N_GOOD
    vectors, alone = np.load(tmp_path / "all.npz"), np.load(tmp_path / "good.npz")
    assert len(alone.files) == N_GOOD
    for name in alone.files:
        assert np.array_equal(vectors[name], alone[name]), name
    assert len(errors) == n
    assert [name for name in errors if (errors[name] is None) != (name in vectors.files)] == []
    assert [name for name in vectors.files if not np.isclose(np.linalg.norm(vectors[name]), 1)] == []
    assert {name: error for name, error in errors.items() if error is not None and _is_raw(error)} == {}
    n_failed = sum(error is not None for error in errors.values())
    assert result["counts"] == [n, n - n_failed, n_failed, 0]
    assert N_MALFORMED * 0.3 < n_failed < N_MALFORMED * 0.9, "the attack reaches files of both kinds"
    assert result["grown"] <= ROOM
    print(
        f"{n_failed} of {N_MALFORMED} failed, {len(set(errors.values()))} reasons, grown by {result['grown'] >> 20} MiB"
    )


def _is_raw(error):
    return RAW.search(error) is not None or not 5 <= len(error) <= 400
