"""What apt's answers mean. Recorded with apt 2.6 over the indices of bookworm, 2026-11-21."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.cli import solve
from provision.cli.exits import Exit
from provision.cli.plan_view import Group
from provision.lab.mirror import KEYRING, Mirror
from provision.model import NodeSpec
from provision.planning import assemble, rooms
from provision.solver import NotHere, Proof, SolvedBoot, Unfetched, answer
from provision.solver.root import Root, cache_folder, configuration, private

DATA = Path(__file__).parent / "data/apt"


def recorded(name: str) -> str:
    return (DATA / name).read_text()


class TestSimulations:
    def test_what_is_installed_and_what_it_weighs(self) -> None:
        result = answer.simulated(recorded("simulated.txt"))
        stanzas = dict(answer.stanzas(recorded("show.txt")))
        assert result.new == len(result.installed) == recorded("simulated.txt").count("\nInst ")
        assert result.installed.keys() == stanzas.keys()
        sizes = [int(line.split()[1]) for line in recorded("show.txt").splitlines() if line.startswith("Size: ")]
        assert answer.download_size(stanzas.values()) == sum(sizes) > 0

    def test_a_replaced_package_is_not_new_and_a_removed_one_is_named(self) -> None:
        result = answer.simulated("Inst a [1] (2 Debian [amd64])\nInst b (1 Debian [all])\nRemv c [1]\n")
        assert (result.new, result.replaced, result.removed) == (1, ("a",), ("c",))

    @pytest.mark.parametrize(("held", "status"), [(True, "hold ok installed"), (False, "install ok installed")])
    def test_an_installed_package_in_dpkgs_status(self, held: bool, status: str) -> None:
        assert answer.as_status("Package: a\nVersion: 1", held) == f"Package: a\nStatus: {status}\nVersion: 1\n"


class TestRefusals:
    def test_the_words_are_apts_own_without_what_it_says_of_every_refusal(self) -> None:
        words = answer.refusal(recorded("refused.txt")).splitlines()
        assert words[0] == "The following packages have unmet dependencies:"
        assert words[-1].startswith("E: Unable to correct problems")

    def test_what_is_missing_by_whom(self) -> None:
        found = answer.missing(answer.refusal(recorded("refused.txt")))
        assert {one.of for one in found} == {"nvidia-open-kernel-dkms"}
        assert [bool(one.version) for one in found] == [True, False, False]
        assert found[2].name == "nvidia-open-kernel-support--v1"

    def test_the_pin_that_would_help_is_of_the_package_of_which_apt_prefers_another_version(self) -> None:
        found = answer.missing(answer.refusal(recorded("refused.txt")))
        offered, providers = (
            answer.candidates(recorded("policy.txt")),
            answer.providers(recorded("showpkg.txt")),
        )
        assert list(answer.helpful(found, providers, offered, {})) == ["firmware-nvidia-gsp"]

    def test_who_wants_another_version_of_what_is_pinned_has_to_follow(self) -> None:
        found = answer.missing(answer.refusal(recorded("refused-lockstep.txt")))
        offered = answer.candidates(recorded("policy.txt"))
        older = offered["nvidia-alternative"][-1]
        more = answer.helpful(found, {}, offered, {"nvidia-alternative": older})
        assert more == dict.fromkeys(("libcuda1", "nvidia-smi"), older)

    def test_no_pin_is_made_up_for_what_the_archive_does_not_have(self) -> None:
        found = answer.missing(answer.refusal(recorded("refused.txt")))
        assert answer.helpful(found, {}, {"firmware-nvidia-gsp": ("1-1",)}, {}) == {}


class TestPrivateRoot:
    MIRROR = Mirror(archive="http://archive.invalid/debian", options=('Acquire::Retries "0";',))

    def test_no_path_of_apt_lies_outside(self, tmp_path: Path) -> None:
        lines = configuration(tmp_path / "a", tmp_path / "b", "arm64", self.MIRROR.options).splitlines()
        paths = [line.split('"')[1] for line in lines if line.startswith("Dir")]
        assert len(paths) > 5
        assert all(path.startswith(str(tmp_path)) for path in paths)
        assert 'APT::Architecture "arm64";' in lines
        assert self.MIRROR.options[0] in lines

    def test_a_path_that_apts_configuration_cannot_carry_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(Unfetched, match="XDG_CACHE_HOME"):
            configuration(tmp_path / 'a"', tmp_path, "arm64", ())

    def test_it_is_gone_afterwards_and_its_lists_are_kept(self, tmp_path: Path) -> None:
        with private(self.MIRROR, "some", ["main"], "arm64", tmp_path) as root:
            sources = (root.folder / "etc/sources.list.d/archive.sources").read_text()
        assert f"Signed-By: {KEYRING}" in sources
        assert not root.folder.exists()
        assert root.lists.exists()

    @pytest.mark.parametrize(
        ("environment", "folder"),
        [({"XDG_CACHE_HOME": "/c"}, "/c"), ({"XDG_CACHE_HOME": "no"}, str(Path.home() / ".cache"))],
    )
    def test_lists_are_kept_in_the_users_cache(self, environment: dict[str, str], folder: str) -> None:
        assert cache_folder(environment) == Path(folder) / "provision/solve"

    def test_a_cached_list_that_the_signed_index_does_not_vouch_for_is_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        packages = tmp_path / "host_dists_x_main_binary-arm64_Packages"
        packages.write_text("Package: a\n")
        digest = hashlib.sha256(packages.read_bytes()).hexdigest()
        (tmp_path / "host_dists_x_InRelease").write_text(
            f"Origin: Debian\nSHA256:\n {digest} {packages.stat().st_size} main/binary-arm64/Packages\n"
        )
        root = Root(folder=tmp_path, lists=tmp_path)
        said = type("Said", (), {"stdout": f"{packages}|main/binary-arm64/Packages\n"})
        monkeypatch.setattr(Root, "run", lambda *_: said)
        assert root._spoilt() == []
        packages.write_text("Package: b\n")
        assert root._spoilt() == [packages]


@pytest.fixture
def groups() -> list[Group]:
    planned = assemble(NodeSpec(os="debian12", arch="x86_64", gpu="H100"), rooms())
    return [Group(nodes=("a",), planned=planned), Group(nodes=("b",), planned=planned)]


def told(capsys: pytest.CaptureFixture[str], verdicts: tuple[solve.Solved, ...]) -> str:
    solve.show(verdicts)
    return capsys.readouterr().out


ACCEPTED = SolvedBoot(number=1, outcome="accepted", asked=2, new=3, download=4_000_000)
REFUSED = SolvedBoot(number=1, outcome="refused", asked=2, words="a : Depends: b")


class TestVerdicts:
    @pytest.fixture(autouse=True)
    def _answers(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.asked: list[object] = []
        self.says: Proof | Exception = Proof(archive="http://archive", boots=(ACCEPTED,), of=1)

        def prove(*arguments: object) -> Proof:
            self.asked.append(arguments)
            if isinstance(self.says, Exception):
                raise self.says
            return self.says

        monkeypatch.setattr(solve, "prove", prove)
        return iter((None,))

    @pytest.mark.parametrize(
        ("says", "code", "words"),
        [
            (
                Proof(archive="http://x", boots=(ACCEPTED,), of=1),
                Exit.DONE,
                "boot 1: accepted: 2 packages asked for, 3 new",
            ),
            (Proof(archive="http://x", boots=(REFUSED,), of=2), Exit.WRONG_INPUT, "a : Depends: b"),
            (Unfetched("E: no route"), Exit.FAILED, "so nothing was solved: E: no route"),
            (NotHere("this machine has no apt"), Exit.UNKNOWN, "unknown: this machine has no apt"),
        ],
    )
    def test_every_verdict_has_words_and_an_exit_code(
        self, groups: list[Group], capsys: pytest.CaptureFixture[str], says: Proof | Exception, code: Exit, words: str
    ) -> None:
        self.says = says
        verdicts = solve.solve(groups)
        assert solve.exit_code(verdicts) == code
        assert words in told(capsys, verdicts)

    def test_a_plan_that_several_groups_share_is_solved_once(self, groups: list[Group]) -> None:
        assert [one.nodes for one in solve.solve(groups)] == [("a",), ("b",)]
        assert len(self.asked) == 1

    def test_boots_behind_a_refused_one_are_named(
        self, groups: list[Group], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.says = Proof(archive="http://x", boots=(REFUSED,), of=3)
        assert "boot 2, 3: not asked" in told(capsys, solve.solve(groups))

    def test_refused_is_worse_than_unfetched_than_unknown(self, groups: list[Group]) -> None:
        verdicts = [
            solve.Solved(nodes=(), platform="", verdict=v) for v in ("accepted", "unknown", "unfetched", "refused")
        ]  # type: ignore[arg-type]
        assert [solve.exit_code(verdicts[: n + 1]) for n in range(4)] == [0, 4, 1, 2]


def test_a_platform_that_cannot_be_reached_says_so() -> None:
    planned = assemble(NodeSpec(os="ubuntu24.04", arch="aarch64", gpu="GH200"), rooms())
    (verdict,) = solve.solve([Group(nodes=("a",), planned=planned)])
    assert verdict.verdict == "unknown"
    assert "the archive of Ubuntu 24.04 is not one that is reached from here" in verdict.why
