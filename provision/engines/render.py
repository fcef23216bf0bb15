"""The sh program that brings one resource to its desired state: one remote command, safe to cut anywhere.

What is written before the change: the reboot-due marker (a change may only take effect with a reboot) and the removal
of the stamps of everything that derives from the resource. What is written after it: a derived's own stamp.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from shlex import quote

from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Derived,
    Directory,
    File,
    Fragment,
    Frozen,
    Gate,
    GpuSetting,
    Group,
    KernelArguments,
    Manual,
    Module,
    Packages,
    Plan,
    Repository,
    Resource,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.model.places import LEDGER, RUN, STATE
from provision.platforms import (
    accounts,
    alternatives,
    apt,
    archives,
    fragment,
    gpus,
    repository,
    running,
    trial_boot,
    units,
)
from provision.platforms.settings import files_of
from provision.probe import LOCK, fingerprint, program
from provision.steps import Due, dependents, desired

LEASE_SECONDS = 30
"""A run of another controller that was silent for so long has ended or died."""

LEASE_WAIT = 150
"""Seconds to wait for another controller's run before giving up."""

PROGRESS = f"{RUN}/progress"
"""What the change that runs is at: for an engine that gets a command's output only when it has ended."""

TOLD = """!/[;{}`]|&&|[|][|]| -[a-zA-Z].* -[a-zA-Z]/ && NF { told = $0 } END { print told }"""
"""awk: the last line that is no command: a module's link steps are long lines of shell between kbuild's own words."""

TAIL = 25
"""Lines of a failed change's log that are shown."""


class Sender(Frozen):
    """Who sends a program: written into the node's lease and ledger, so that two runs do not interleave."""

    controller: str
    run: str
    node: str


def apply_program(plan: Plan, due: Due, sender: Sender, together: Sequence[Due] = ()) -> str:
    """The program for one resource.

    Args:
        plan: the plan it belongs to.
        due: what to carry out, and how far its change reaches.
        sender: whose program it is.
        together: for packages: all that are due in this boot, for its one transaction.
    """
    resource, changed = due.entry.resource, together or (due,)
    change = "\n".join(
        [
            "set -eu",
            "umask 022",
            *(line for one in changed for line in _before(plan, one)),
            *_change(plan, resource, [one.entry.resource for one in changed]),
        ]
    )
    return program("\n".join([_frame(resource, sender), _logged(change, resource, sender)]))


def reboot_program(sender: Sender, why: str, trial: str | None, words: Sequence[str] = ()) -> str:
    """Orders a reboot and returns at once; what proves it is another boot_id, read later.

    `trial` is a kernel to start once, with these words of ours on its command line.
    """
    lines = [_prologue(sender), _ledger(sender, "reboot", why)]
    if trial is not None:
        # No `||` behind the subshell: `set -e` would have no effect inside it.
        lines.append(f"( set -eu\n{trial_boot.order(trial, words)}\n) >{STATE}/last 2>&1\nrc=$?")
        lines.append(f"if [ $rc != 0 ]; then {_shown(f'{STATE}/last')}; exit 1; fi")
    # Detached, so that the answer is out before sshd goes down, and without the lock.
    lines.append("sync\nsetsid sh -c 'sleep 0.3; systemctl reboot' >/dev/null 2>&1 </dev/null 9>&- &")
    return program("\n".join(lines))


def _before(plan: Plan, due: Due) -> list[str]:
    name = due.entry.name
    stamps = [f"{STATE}/derived/{quote(d.name)}" for d in dependents(plan, name)]
    return [
        *(_mark(name) if due.reach == "kernel" else ()),
        *(["rm -f " + " ".join(stamps)] if stamps and due.reach != "nothing" else ()),
    ]


def _mark(name: str) -> list[str]:
    """The marker: a line of this boot's boot_id and every resource that was changed in it and awaits a reboot."""
    marker = f"{STATE}/reboot-due"
    return [
        "boot_id=$(cat /proc/sys/kernel/random/boot_id)",
        f"owed=$(cat {marker} 2>/dev/null) || owed=",
        'case "$owed " in "$boot_id "*) ;; *) owed=$boot_id ;; esac',
        f'case "$owed " in *" "{quote(name)}" "*) ;; *) owed="$owed "{quote(name)} ;; esac',
        _write_text(marker, '"$owed"'),
    ]


def _change(plan: Plan, resource: Resource, together: Sequence[Resource]) -> list[str]:
    match resource:
        case Packages():
            sets = [r for r in together if isinstance(r, Packages)]
            packages = [package for r in sets for package in r.packages]
            held = [package.name for r in sets if r.hold for package in r.packages]
            metas = dict.fromkeys(meta for r in sets for meta in r.metas)
            return [apt.transaction(packages, held, tuple(metas))]
        case File(path=path):
            return [*_files(resource), *([units.RELOAD] if units.unit_of(path) else ())]
        case KernelArguments():
            return _files(resource)
        case Repository():
            return [repository.add(resource), *_files(resource)]
        case Module():
            return [*_files(resource), running.module(resource)]
        case Sysctl():
            return [*_files(resource), running.sysctl(resource)]
        case Directory(path=path, mode=mode):
            return [f"mkdir -p {quote(path)}", f"chown root:root {quote(path)}", f"chmod {mode} {quote(path)}"]
        case Unit(unit=unit, enabled=enabled, running=runs):
            return [
                f'[ "$(systemctl show -p NeedDaemonReload --value {quote(unit)})" != yes ] || {units.RELOAD}',
                _enablement(quote(unit), "enable" if enabled else "disable"),
                f"systemctl {'start' if runs else 'stop'} {quote(unit)}",
            ]
        case BootEntry(release=release, words=words):
            return [trial_boot.promote(release, words)]
        case Derived():
            return _derived(plan, resource)
        case Gate():
            return [_gate(resource)]
        case Symlink(path=path, target=target):
            return _symlink(path, target)
        case Alternatives():
            return [alternatives.choose(resource)]
        case Fragment():
            return [fragment.write(resource)]
        case Group():
            return [accounts.group(resource)]
        case User():
            return [accounts.user(resource)]
        case Archive():
            return [archives.unpack(resource)]
        case GpuSetting():
            return [*_files(resource), *_gpus(resource)]
        case Manual(title=title, instruction=instruction):
            return [f"echo {quote(f'{title}. {instruction}')}", "exit 1"]


def _gpus(wanted: GpuSetting) -> list[str]:
    """The driver tells what waits for a reboot, so the marker comes behind; who dies between finds it due again."""
    return [
        f"waiting=$(\n{gpus.set_to(wanted, f'{RUN}/gpus')})",
        'if [ -n "$waiting" ]; then printf \'%s\\n\' "$waiting"',
        *_mark(wanted.name),
        "fi",
    ]


def _gate(gate: Gate) -> str:
    told = quote(f"not so: {gate.expect}. {gate.remedy}")
    return f"set +e\n(\nset -eu\n{gate.test}\n)\n[ $? = 0 ] || {{ echo {told}; exit 1; }}"


def _files(resource: Resource) -> list[str]:
    return [line for file in files_of(resource) for line in _file(file.path, file.content, file.mode)]


def _file(path: str, content: str, mode: str) -> list[str]:
    data = base64.b64encode(content.encode()).decode()
    return _replaced(
        path,
        lambda temporary: (
            f"echo {data} | (umask 077; base64 -d >{temporary})",
            f"chown root:root {temporary}",
            f"chmod {mode} {temporary}",
            f"sync {temporary}",
        ),
    )


def _symlink(path: str, target: str) -> list[str]:
    return _replaced(path, lambda temporary: (f"ln -s -- {quote(target)} {temporary}",))


def _replaced(path: str, made: Callable[[str], Sequence[str]]) -> list[str]:
    """A file or link, made under another name beside it and then put there whole. `made` is given the quoted name."""
    folder, _, name = path.rpartition("/")
    temporary = quote(f"{folder}/.{name}.provision")
    blocked = quote(f"{path} is a directory, and a file belongs there: move it away, then run again")
    return [
        f"[ ! -d {quote(path)} ] || [ -L {quote(path)} ] || {{ echo {blocked}; exit 1; }}",
        f"mkdir -p {quote(folder or '/')}",
        f"rm -f {temporary}",
        *made(temporary),
        f"mv -fT {temporary} {quote(path)}",
        f"sync {quote(folder or '/')}",
    ]


def _enablement(unit: str, verb: str) -> str:
    """Enable or disable a unit that can be; systemd's other states stand for themselves (systemctl(1), is-enabled)."""
    masked = f"{unit} is masked: somebody wants it off; unmask it, then run again"
    return (
        f"case $(systemctl is-enabled {unit} 2>/dev/null) in\n"
        "static | indirect | generated | transient | alias) ;;\n"
        f"masked*) echo {quote(masked)}; exit 1 ;;\n"
        f"*) systemctl {verb} {unit} ;;\nesac"
    )


def _derived(plan: Plan, derived: Derived) -> list[str]:
    stamp = f"{STATE}/derived/{quote(derived.name)}"
    return [
        f"rm -f {stamp}",
        f"made_from=$({fingerprint(plan, derived)})",
        f"(\nset -eu\n{derived.command}\n)" if derived.undo is None else _undoing(derived.command, derived.undo),
        *(line for path in derived.outputs for line in _made(path)),
        _write_text(stamp, f'{desired(plan, derived)}-"$made_from"'),
    ]


def _made(path: str) -> list[str]:
    """It is there, and on the disk: a stamp that outlived its output in a power cut would tell of what is not there."""
    folder = path.rpartition("/")[0] or "/"
    return [
        f"[ -e {quote(path)} ] || {{ echo {quote(path)} was not made; exit 1; }}",
        f"[ ! -f {quote(path)} ] || sync {quote(path)} {quote(folder)}",
    ]


def _undoing(command: str, undo: str) -> str:
    """Of what is taken back, the last words are enough: more would push the failure itself out of the log's tail."""
    return (
        f"set +e\n(\nset -eu\n{command}\n)\nrc=$?\nset -e\n"
        f"if [ $rc != 0 ]; then\nset +e\n(\nset -eu\n{undo}\n) >{RUN}/undo 2>&1\n"
        f"if [ $? = 0 ]; then tail -n 1 {RUN}/undo; else\n"
        f"tail -n 12 {RUN}/undo; echo 'what was begun could not be taken back'; fi\nexit $rc\nfi"
    )


def _write_text(path: str, text: str) -> str:
    """Write one line so that after a power cut it is there whole or not at all. `path` and `text` are sh words."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.provision"
    return f"printf '%s\\n' {text} >{temporary}\nsync {temporary}\nmv -f {temporary} {path}\nsync {folder}"


def _prologue(sender: Sender) -> str:
    """Lock, lease, and the folders that everything else needs."""
    mine = quote(sender.controller)
    return f"""set -u
if ! mkdir -p {STATE}/derived || ! (echo room >{STATE}/.room && sync {STATE}/.room) 2>/dev/null; then
  free=$(df -Pm {STATE} | awk 'NR == 2 {{ print $6 " has " $4 " MiB free" }}')
  echo "nothing was begun, because nothing can be written to {STATE}: $free. Free some room, then run again" >&2; exit 1
fi
rm -f {STATE}/.room
{LOCK}
waited=0
while [ -f {RUN}/lease ] && read -r holder run since <{RUN}/lease && [ "$holder" != {mine} ] \\
    && [ $(($(date +%s) - since)) -lt {LEASE_SECONDS} ]; do
  if [ $waited -ge {LEASE_WAIT} ]; then
    echo "run $run of another controller ($holder) is at work on this node; run again when it has ended" >&2; exit 75
  fi
  flock -u 9; sleep 2; waited=$((waited + 2)); flock 9
done
if [ $waited -gt 0 ]; then
  # What this run has read is older than what the other one did.
  echo "run $run of another controller ($holder) changed this node after it was read; nothing was begun, run again" >&2
  exit 75
fi
{_lease(sender)}"""


def _lease(sender: Sender) -> str:
    return f"printf '%s %s %s\\n' {quote(sender.controller)} {quote(sender.run)} \"$(date +%s)\" >{RUN}/lease"


def _frame(resource: Resource, sender: Sender) -> str:
    doing = f"printf '%s\\n' {quote(resource.name)} >{RUN}/doing"
    return "\n".join([_prologue(sender), doing, _ledger(sender, "begin", resource.name)])


def _ledger(sender: Sender, step: str, detail: str) -> str:
    return (
        f"printf '%s %s %s %s %s\\n' \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\" {quote(sender.run)} "
        f'"$(cut -c1-8 /proc/sys/kernel/random/boot_id)" {step} {quote(detail)} >>{LEDGER}; sync {LEDGER}'
    )


def _logged(change: str, resource: Resource, sender: Sender) -> str:
    """Run the change with its output in a file: a dead controller must not kill apt by a broken pipe.

    Without the lock's descriptor, which we hold for it: what a change leaves behind (dkms 3.2.2 a `sleep 3`) would keep
    the lock.
    """
    log = f"{STATE}/last"
    return f"""begun=$(date +%s)
{_progress(resource, sender, log)}
(
{change}
) >{log} 2>&1 9>&-
rc=$?
{"kill $progress 2>/dev/null" if _is_long(resource) else ":"}
if [ $rc = 0 ]; then {_ledger(sender, "ok", resource.name)}
else {_ledger(sender, "failed", resource.name)}; {_shown(log)}; fi
{_lease(sender)}
rm -f {RUN}/doing {PROGRESS}
exit $rc"""


def _shown(log: str) -> str:
    """The end of a log, in ASCII: paramiko ends a whole answer at a byte that is not UTF-8."""
    return f"tail -n {TAIL} {log} | tr -c '[:print:]\\t\\n' '?' >&2"


def _is_long(resource: Resource) -> bool:
    """A precondition may wait for somebody else's package work."""
    return isinstance(resource, (Packages, Derived, Repository, Archive)) or (
        isinstance(resource, Gate) and resource.precondition
    )


def _progress(resource: Resource, sender: Sender, log: str) -> str:
    """Tell every few seconds what the change is at. Without the lock, and gone when nobody listens."""
    if not _is_long(resource):
        return ":"
    # A pattern of log files is for the shell to expand, so only its fixed parts are quoted.
    watched = (
        "*".join(quote(part) if part else "" for part in resource.log.split("*"))
        if isinstance(resource, Derived) and resource.log
        else log
    )
    node = f"{quote(sender.node)} {quote(resource.name)}"
    return f"""(
while sleep 2 >/dev/null 2>&1; do
  line=$(tail -q -n 50 {watched} 2>/dev/null | awk {quote(TOLD)} | tr '\\t' ' ' | tr -cd '[:print:]' | cut -c1-160)
  lines=$(cat {watched} 2>/dev/null | wc -l)
  seconds=$(($(date +%s) - begun))
  printf '@progress\\t%s\\t%s\\t%s\\t%s\\t%s\\n' {node} "$seconds" "$lines" "$line" >{PROGRESS}
  cat {PROGRESS} || exit 0
done
) </dev/null 2>/dev/null 9>&- &
progress=$!"""
