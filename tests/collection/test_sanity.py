"""ansible-test sanity over the collection as it is installed, without containers.

Each check runs in an environment that ansible-test makes for it and keeps in the user's cache, with what pip downloads as it is
configured here. pip itself comes from this Python, and not from Ansible's own server, which is all that is done otherwise than by hand.
Checks that skip themselves are those for which there is nothing to check, and `pslint`, which wants PowerShell.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ansible_test", reason="ansible-core is not installed: pip install ansible-core")

KEPT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "provision" / "ansible-test"
PROGRAM = Path(sys.executable).with_name("ansible-test")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RAN = re.compile(r'^Running sanity test "([a-z0-9-]+)"', re.MULTILINE)
CHECKS = {"ansible-doc", "import", "pep8", "pylint", "validate-modules", "yamllint"}
"""Some that must have run: what they need was installed."""

PIP_WANTED = """\
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version={python!r}))["pip"])
"""

BOOTSTRAP = """\
import subprocess
import sys

# In a process of its own, because it makes pip forget its configuration.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
wanted = [word for word in sys.argv[1:] if word not in {"--no-setuptools", "--no-wheel"}]
subprocess.check_call([sys.executable, "-m", "pip", "install", *wanted])
"""


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """A home for ansible-test in the cache, with the user's configuration of pip."""
    for name in (".config/pip", ".pip", ".cache/pip"):
        link = KEPT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if (Path.home() / name).exists() and not link.is_symlink():
            link.symlink_to(Path.home() / name)
    wanted = subprocess.run(
        [sys.executable, "-c", PIP_WANTED.format(python=PYTHON)], capture_output=True, text=True, check=True
    ).stdout.strip()
    bootstrap = KEPT / ".ansible" / "test" / "cache" / f"get_pip_{wanted.replace('.', '_')}.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.write_text(BOOTSTRAP)
    return environment | {"HOME": str(KEPT), "PATH": f"{PROGRAM.parent}:{environment['PATH']}"}


def check(collection: Path, environment: dict[str, str], *checks: str) -> subprocess.CompletedProcess[str]:
    # It looks at what git knows, and writes below tests/output.
    (collection / ".gitignore").write_text("/tests/output/\n")
    subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
    named = [word for one in checks for word in ("--test", one)]
    return subprocess.run(
        [str(PROGRAM), "sanity", "--python", PYTHON, "--color", "no", *named],
        cwd=collection,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def release() -> str:
    """ansible-core's, as an ignore file is named."""
    from ansible import release

    return ".".join(release.__version__.split(".")[:2])


def with_ignores(collection: Path) -> None:
    """An exception is argued once and holds for every release."""
    folder = collection / "tests" / "sanity"
    (own,) = folder.glob("ignore-*.txt")
    shutil.copy2(own, folder / "ignores")
    own.unlink()
    (folder / "ignores").rename(folder / f"ignore-{release()}.txt")


def test_nothing_is_found(collection: Path, environment: dict[str, str]) -> None:
    with_ignores(collection)
    done = check(collection, environment)
    assert done.returncode == 0, done.stdout[-5000:]
    assert set(RAN.findall(done.stdout)) >= CHECKS


def test_each_exception_is_about_the_licence_and_says_why(collection: Path) -> None:
    (ignores,) = (collection / "tests" / "sanity").iterdir()
    for line in ignores.read_text().splitlines():
        entry, _, reason = line.partition(" # ")
        assert entry.endswith(" validate-modules:missing-gplv3-license")
        assert reason.startswith("Apache-2.0")


def test_faults_would_be_found(collection: Path, environment: dict[str, str]) -> None:
    with_ignores(collection)
    module = collection / "plugins" / "modules" / "step.py"
    module.write_text(module.read_text().replace("module: step\n", "module: stop\n"))
    plugin = collection / "plugins" / "lookup" / "plan.py"
    plugin.write_text(plugin.read_text() + "\nimport no_such_module\n")
    done = check(collection, environment, "validate-modules", "import")
    assert done.returncode != 0
    assert "ModuleNotFoundError: No module named 'no_such_module'" in done.stdout
    assert "plugins/modules/step.py:0:0: invalid-documentation" in done.stdout
