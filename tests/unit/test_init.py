"""`provision init`: a project that both engines take as it is; no file is ever overwritten."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provision.catalog import load
from provision.cli import init
from provision.cli.exits import Exit
from provision.inventory import read_inventory

ROOT = Path(__file__).parents[2]
FILES = {"README.md", "inventory.py", "deploy.py", "config.py", "site.yml", "ansible.cfg", ".gitignore"}


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(init.app, list(arguments))
    return done.exit_code, done.output


def contents(folder: Path) -> Mapping[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    code, said = run(str(tmp_path / "new" / "fleet"))
    assert code == Exit.DONE, said
    return tmp_path / "new" / "fleet"


class TestWhatIsWritten:
    def test_a_project_and_nothing_beside_it(self, made: Path) -> None:
        assert set(contents(made)) == FILES
        assert list(made.parent.iterdir()) == [made]

    def test_an_inventory_without_a_mistake(self, made: Path) -> None:
        ((name, spec),) = read_inventory(made / "inventory.py").items()
        assert (name, spec.arch, spec.gpu) == ("gpu-01", "x86_64", None)

    def test_what_was_asked_for(self, tmp_path: Path) -> None:
        code, said = run(str(tmp_path), "--host=b", "--host=a", "--os=debian13", "--arch=aarch64", "--gpu=H100")
        assert code == Exit.DONE, said
        specs = read_inventory(tmp_path / "inventory.py")
        assert list(specs) == ["b", "a"]
        assert {(spec.os, spec.arch, spec.gpu) for spec in specs.values()} == {("debian13", "aarch64", "H100")}

    @pytest.mark.parametrize("name", sorted({gpu.name for gpu in load().gpus if gpu.coherent}))
    def test_a_gpu_beside_a_grace_cpu_is_on_arm(self, name: str) -> None:
        assert init.usual_arch(name) == "aarch64"

    def test_any_other_is_not(self) -> None:
        assert {init.usual_arch(name) for name in ("H100", "L40S", "no such GPU", "")} == {"x86_64"}

    @pytest.mark.parametrize("name", ["deploy.py", "config.py", "site.yml"])
    def test_entries_are_those_of_the_checkout(self, made: Path, name: str) -> None:
        assert (made / name).read_text() == (ROOT / name).read_text()

    def test_ansible_is_told_what_it_is_told_in_the_checkout(self, made: Path) -> None:
        told = [(folder / "ansible.cfg").read_text().partition("[defaults]")[2] for folder in (made, ROOT)]
        assert told[0] == told[1] != ""

    def test_python_that_ruff_would_leave_as_it_is(self, made: Path) -> None:
        for command in (["check"], ["format", "--check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length=120", made],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout

    def test_the_readme_names_every_file_that_somebody_may_wonder_about(self, made: Path) -> None:
        page = (made / "README.md").read_text()
        assert {name for name in FILES - {"README.md", ".gitignore"} if f"`{name}`" not in page} == set()

    def test_files_have_the_mode_that_the_user_gives_new_files(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            assert run(str(tmp_path / "p"))[0] == Exit.DONE
        finally:
            os.umask(before)
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "p").iterdir()} == {0o640}


class TestWhatIsThere:
    def test_the_same_command_again_changes_nothing(self, made: Path) -> None:
        before = {path: path.stat().st_ino for path in made.iterdir()}
        assert run(str(made))[0] == Exit.DONE
        assert {path: path.stat().st_ino for path in made.iterdir()} == before

    def test_and_finishes_what_was_cut(self, made: Path) -> None:
        (made / "site.yml").unlink()
        assert run(str(made))[0] == Exit.DONE
        assert set(contents(made)) == FILES

    def test_files_of_other_names_are_no_matter(self, tmp_path: Path) -> None:
        (tmp_path / "LICENSE").write_text("mine")
        assert run(str(tmp_path))[0] == Exit.DONE
        assert (tmp_path / "LICENSE").read_text() == "mine"

    def test_every_file_that_differs_is_named_and_nothing_is_written(self, tmp_path: Path) -> None:
        mine = {"deploy.py": "mine", "README.md": ""}
        for name, text in mine.items():
            (tmp_path / name).write_text(text)
        code, said = run(str(tmp_path))
        assert code == Exit.WRONG_INPUT
        assert "README.md, deploy.py already" in said
        assert said.count("\n") == 1
        assert contents(tmp_path) == mine

    @pytest.mark.parametrize("kind", ["folder", "dangling link"])
    def test_neither_is_what_is_no_file(self, tmp_path: Path, kind: str) -> None:
        if kind == "folder":
            (tmp_path / "inventory.py").mkdir()
        else:
            (tmp_path / "inventory.py").symlink_to(tmp_path / "elsewhere")
        code, said = run(str(tmp_path))
        assert (code, "inventory.py already" in said) == (Exit.WRONG_INPUT, True)
        assert [path.name for path in tmp_path.iterdir()] == ["inventory.py"]

    def test_a_file_that_comes_meanwhile_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        texts = init.project(["a"], init.declared(["a"], "debian13", "", "H100"))
        (tmp_path / "site.yml").write_text("mine")
        looks = iter([True] * len(texts))
        look = init._may_be
        monkeypatch.setattr(init, "_may_be", lambda path, text: next(looks, None) or look(path, text))
        with pytest.raises(init.Occupied, match=r"site\.yml already"):
            init.write(tmp_path, texts)
        assert (tmp_path / "site.yml").read_text() == "mine"
        assert not list(tmp_path.glob(".provision-*"))

    def test_a_file_in_the_folders_place_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for place in ("file", "file/below"):
            code, said = run(str(tmp_path / place))
            assert (code, said.count("\n")) == (Exit.WRONG_INPUT, 1)
            assert place in said


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--host=a b", "--host=c", "--host=c"], "2 mistakes: 'a b' is not a host name; host 'c' is named twice"),
            (['--host="+__import__("os").getcwd()+"'], "is not a host name"),
            (["--gpu=H10O"], "GPU 'H10O' is not in the catalog"),
            (["--arch=arm64"], "arch='arm64'"),
            (["--os=debian14"], "debian14"),
            (["--os=debian12", "--gpu=B200"], "nothing fits"),
        ],
    )
    def test_is_told_as_in_an_inventory_and_nothing_is_written(
        self, tmp_path: Path, arguments: list[str], told: str
    ) -> None:
        code, said = run(str(tmp_path / "p"), *arguments)
        assert code == Exit.WRONG_INPUT
        assert told in said
        assert not (tmp_path / "p").exists()

    def test_values_are_quoted_for_python(self) -> None:
        name = 'x"\\n'
        spec = init.declared(["a"], "debian13", "", "H100").model_copy(update={"gpu": name})
        tree = ast.parse(init.project(["a"], spec)["inventory.py"])
        assert name in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
