"""sections/gpu.sh: the GPUs, from nvidia-smi's XML, or from /proc where that does not answer.

Element names are those of nvidia-smi of driver 580 (recorded 2026-11-21); of older ones, only what is named the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from provision.model.machine import Gpu, GpuState
from provision.probe.rows import Rows, decimal, last, number, table
from provision.probe.xml import WrongXml, elements

SHAPES = {
    "kernel_driver": 1, "information": 3, "parameter": 2, "device_node": 1, "switch": 1, "xml": 1,
}  # fmt: skip

VERSION = re.compile(r"\s(\d+\.\d+(?:\.\d+)*)\s")
NOTHING = frozenset({"N/A", "[N/A]", "None", "Unknown", "n/a"})
UNCORRECTABLE = ("sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded", "dram_uncorrectable")
ROOT_END = "</nvidia_smi_log>"
CODE = re.compile(r"<!--code (\d+)-->")


def gpu(lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A damaged XML spoils the GPU's details, not what /proc told: then `hidden` has why."""
    rows = table(lines, SHAPES)
    driver = last(rows, "kernel_driver")
    version = VERSION.search(f"{driver} ")
    known: dict[str, Any] = {
        "kernel_driver": version[1] if version else "",
        "flavour": ("open" if "Open Kernel Module" in driver else "proprietary") if driver else "",
        "parameters": {key.strip(): value.strip().strip('"') for key, value in rows["parameter"]},
        "nodes": tuple(node for (node,) in rows["device_node"]),
        "switches": tuple(switch for (switch,) in rows["switch"]),
    }
    by_proc = _by_proc(rows)
    hidden: dict[str, str] = {}
    try:
        known |= _by_smi([text for (text,) in rows["xml"]])
    except (WrongXml, ValueError) as error:
        hidden["gpu"] = f"unreadable: nvidia-smi's answer: {error}"[:300]
    if not known.get("gpus"):
        known["gpus"] = by_proc
    if "source" not in known:
        known["source"] = "proc" if driver or by_proc else ""
    return {"gpu": GpuState.model_validate(known), "hidden": hidden}


def _by_proc(rows: Rows) -> tuple[Gpu, ...]:
    found: dict[str, dict[str, str]] = {}
    for address, key, value in rows["information"]:
        found.setdefault(address, {})[key.strip()] = value.strip()
    return tuple(
        Gpu(
            address=address,
            name=values.get("Model", ""),
            uuid=values.get("GPU UUID", ""),
            minor=number(values.get("Device Minor", "")),
            vbios=values.get("Video BIOS", "").upper(),
            gsp_firmware=_told(values.get("GPU Firmware", "")),
        )
        for address, values in found.items()
    )


def _by_smi(lines: Sequence[str]) -> dict[str, Any]:
    """What nvidia-smi told; its words instead of an answer are `error`. Raises: WrongXml."""
    if not lines:
        return {}
    code = CODE.fullmatch(lines[-1])
    if code is None:
        raise WrongXml("cut short")
    document, said = _apart("\n".join(lines[:-1]))
    if not document:
        return {"error": said or f"no word, exit code {code[1]}"}
    top: dict[str, str] = {}
    gpus: list[tuple[str, dict[str, str]]] = []
    for path, attributes, content in elements(document):
        _, _, inner = path.partition("/")
        if inner == "gpu":
            gpus.append((attributes.get("id", ""), {}))
        elif inner.startswith("gpu/") and gpus:
            _note(gpus[-1][1], inner.removeprefix("gpu/"), content)
        elif inner:
            top.setdefault(inner, content)
    if "driver_version" not in top:
        raise WrongXml("it names no driver")
    return {
        "source": "nvidia-smi",
        "library_driver": top["driver_version"],
        "cuda": _told(top.get("cuda_version", "")),
        "gpus": tuple(_gpu(address, values) for address, values in gpus),
        "error": said or (f"nvidia-smi ended with exit code {code[1]}" if code[1] != "0" else ""),
    }


def _apart(text: str) -> tuple[str, str]:
    """The document, and what stands around it: nvidia-smi warns before or behind it (`infoROM is corrupted`)."""
    begin, end = text.find("<?xml"), text.rfind(ROOT_END)
    if begin < 0:
        return "", " ".join(text.split())[:300]
    end = end + len(ROOT_END) if end > begin else len(text)
    return text[begin:end], " ".join((text[:begin] + text[end:]).split())[:300]


def _note(values: dict[str, str], path: str, content: str) -> None:
    values.setdefault(path, content)
    if path == "processes/process_info":
        values["processes"] = str((number(values["processes"]) or 0) + 1)


def _gpu(address: str, values: Mapping[str, str]) -> Gpu:
    def text(path: str) -> str:
        return _told(values.get(path, ""))

    def count(path: str) -> int | None:
        return number(values.get(path, ""))

    link = "pci/pci_gpu_link_info"
    ecc = "ecc_errors"
    return Gpu(
        address=_address(address),
        name=text("product_name"),
        uuid=text("uuid"),
        serial=text("serial"),
        architecture=text("product_architecture"),
        part_number=text("board_part_number"),
        minor=count("minor_number"),
        vbios=text("vbios_version").upper(),
        gsp_firmware=text("gsp_firmware_version"),
        persistence=text("persistence_mode"),
        addressing=text("addressing_mode"),
        mig=text("mig_mode/current_mig"),
        virtualization=text("gpu_virtualization_mode/virtualization_mode"),
        recovery_action=values.get("gpu_recovery_action", ""),
        performance_state=text("performance_state"),
        memory_mib=count("fb_memory_usage/total"),
        memory_used_mib=count("fb_memory_usage/used"),
        ecc=text("ecc_mode/current_ecc"),
        ecc_pending=text("ecc_mode/pending_ecc"),
        ecc_uncorrectable=_sum(values, f"{ecc}/volatile"),
        ecc_uncorrectable_ever=_sum(values, f"{ecc}/aggregate"),
        remapped_rows=count("remapped_rows/remapped_row_unc"),
        remap_pending=text("remapped_rows/remapped_row_pending"),
        remap_failed=text("remapped_rows/remapped_row_failure"),
        pcie_generation=count(f"{link}/pcie_gen/current_link_gen"),
        pcie_generation_max=count(f"{link}/pcie_gen/max_link_gen"),
        pcie_width=count(f"{link}/link_widths/current_link_width"),
        pcie_width_max=count(f"{link}/link_widths/max_link_width"),
        power_limit_w=decimal(values.get("gpu_power_readings/current_power_limit", "")),
        power_default_w=decimal(values.get("gpu_power_readings/default_power_limit", "")),
        temperature_c=count("temperature/gpu_temp"),
        fabric_state=text("fabric/state"),
        fabric_status=text("fabric/status"),
        fabric_clique=text("fabric/cliqueId"),
        processes=count("processes") or 0,
    )


def _address(bus_id: str) -> str:
    """`00000000:00:06.0` of nvidia-smi as sysfs has it: `0000:00:06.0`."""
    domain, colon, rest = bus_id.partition(":")
    return f"{domain[-4:]}{colon}{rest}".lower()


def _sum(values: Mapping[str, str], path: str) -> int | None:
    counts = [n for name in UNCORRECTABLE if (n := number(values.get(f"{path}/{name}", ""))) is not None]
    return sum(counts) if counts else None


def _told(text: str) -> str:
    return "" if text in NOTHING else text
