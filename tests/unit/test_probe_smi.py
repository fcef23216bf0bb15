"""nvidia-smi's XML, read without trust."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.model.machine import GpuState
from provision.probe.parse_gpu import gpu
from provision.probe.xml import MOST_DEEP, MOST_ELEMENTS, WrongXml, elements

ANSWER = Path(__file__).parent / "data" / "probe-h200-1gpu.txt"
HEAD = '<?xml version="1.0" ?>'
REAL = [line.removeprefix("xml\t") for line in ANSWER.read_text().splitlines() if line.startswith("xml\t")]

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": f'{HEAD}<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><nvidia_smi_log>&l9;</nvidia_smi_log>',
    "quadratic": f'{HEAD}<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]><nvidia_smi_log>{"&a;" * 10_000}</nvidia_smi_log>',
    "a file": f'{HEAD}<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><nvidia_smi_log>&f;</nvidia_smi_log>',
    "parameter entity": f'{HEAD}<!DOCTYPE x [<!ENTITY % p SYSTEM "http://example.org/x">%p;]><nvidia_smi_log/>',
    "attribute defaults": f'{HEAD}<!DOCTYPE x [<!ATTLIST gpu id CDATA "{"x" * 9999}">]><nvidia_smi_log/>',
    "undeclared": f"{HEAD}<nvidia_smi_log>&nothing;</nvidia_smi_log>",
    "deep": HEAD + "<a>" * (MOST_DEEP + 1) + "</a>" * (MOST_DEEP + 1),
    "very deep": HEAD + "<a>" * 300_000,
    "wide": f"{HEAD}<nvidia_smi_log>{'<a/>' * (MOST_ELEMENTS + 1)}</nvidia_smi_log>",
    "long names": f"{HEAD}<{'n' * 100_000}>{'<a/>' * 1000}",
    "cut": f"{HEAD}<nvidia_smi_log><gpu id='0'>",
    "two roots": f"{HEAD}<a/><b/>",
    "not XML": f"{HEAD}\x7fELF",
    "another encoding": '<?xml version="1.0" encoding="utf-16"?><a/>',
    "unknown encoding": '<?xml version="1.0" encoding="x-nonsense"?><a/>',
    "no driver": f"{HEAD}<nvidia_smi_log><gpu id='0'/></nvidia_smi_log>",
}


def state(document: str, code: int = 0) -> tuple[GpuState, str]:
    lines = [["kernel_driver", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  1.2.3  Release Build"]]
    lines += [["information", "0000:06:00.0", "Model", "  NVIDIA X"]]
    lines += [["xml", line] for line in [*document.split("\n"), f"<!--code {code}-->"]]
    fields = gpu(lines)
    return fields["gpu"], fields["hidden"].get("gpu", "")


@pytest.mark.parametrize("document", BOMBS.values(), ids=BOMBS)
def test_a_hostile_document_is_an_error_about_it_and_costs_little(document: str) -> None:
    tracemalloc.start()
    found, hidden = state(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert hidden.startswith("unreadable: nvidia-smi's answer: ")
    assert len(hidden) <= 300
    assert peak < 64 * 1024 * 1024
    assert (found.source, found.kernel_driver, found.flavour) == ("proc", "1.2.3", "open")
    assert [one.name for one in found.gpus] == ["NVIDIA X"], "what /proc told stays"


def test_an_external_doctype_is_not_loaded_and_not_refused() -> None:
    """Every real answer has one: `nvsmi_device_v13.dtd`."""
    assert "<!DOCTYPE" in REAL[1]
    found, hidden = state("\n".join(REAL[:-1]))
    assert hidden == ""
    assert found.source == "nvidia-smi"


def test_a_warning_around_the_document_is_kept_and_does_no_harm() -> None:
    document = "\n".join(["WARNING: infoROM is corrupted at gpu 0000:06:00.0", *REAL[:-1], "and behind it"])
    found, hidden = state(document, code=14)
    assert hidden == ""
    assert len(found.gpus) == 1
    assert found.error == "WARNING: infoROM is corrupted at gpu 0000:06:00.0 and behind it"


@pytest.mark.parametrize(
    ("said", "code", "error"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate",
            9,
            "NVIDIA-SMI has failed because it couldn't communicate",
        ),
        ("No devices were found", 6, "No devices were found"),
        ("", 139, "no word, exit code 139"),
    ],
)
def test_words_instead_of_an_answer_are_its_error(said: str, code: int, error: str) -> None:
    found, hidden = state(said, code)
    assert (found.error, hidden, found.source) == (error, "", "proc")


def test_a_whole_document_with_a_bad_end_says_so() -> None:
    found, _ = state("\n".join(REAL[:-1]), code=14)
    assert found.error == "nvidia-smi ended with exit code 14"


def test_processes_are_counted() -> None:
    processes = (
        "<processes><process_info><pid>1</pid></process_info><process_info><pid>2</pid></process_info></processes>"
    )
    document = "\n".join(("<processes>" in line and processes) or line for line in REAL[:-1] if line != "</processes>")
    assert state(document)[0].gpus[0].processes == 2
    assert state("\n".join(REAL[:-1]))[0].gpus[0].processes == 0


@given(st.text())
def test_any_text_is_elements_or_wrong_xml(text: str) -> None:
    try:
        found = list(elements(text))
    except WrongXml:
        return
    assert found


@given(st.data())
@settings(deadline=None)
def test_any_damage_to_a_real_answer_is_a_state(data: st.DataObject) -> None:
    document = "\n".join(REAL[:-1])
    begin = data.draw(st.integers(0, len(document)))
    end = data.draw(st.integers(begin, min(begin + 200, len(document))))
    found, hidden = state(document[:begin] + data.draw(st.text(max_size=20)) + document[end:])
    assert found.source == "nvidia-smi" or hidden or found.error
