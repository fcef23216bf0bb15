"""Words of the kernel's command line that contradict each other: those of a plan, and a node's own in GRUB's settings.

GRUB writes GRUB_CMDLINE_LINUX, then GRUB_CMDLINE_LINUX_DEFAULT, and a plan's words stand at the end of the latter
(grub-mkconfig of GRUB 2.12, read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations

from provision.catalog import KernelArgumentRule
from provision.model import KernelArgument
from provision.platforms.shell import lines, program

TRUE = frozenset({"1", "y", "yes", "t", "true", "on"})
FALSE = frozenset({"0", "n", "no", "f", "false", "off"})
"""What lib/kstrtox.c of the kernel (kstrtobool) takes for one and the other, in any case (read 2026-11-21)."""


def contradictions(arguments: Sequence[KernelArgument], rules: Sequence[KernelArgumentRule]) -> Iterator[str]:
    """Both words, who wants them, and which would win, for every pair that says contrary things.

    `arguments`: in the order in which they stand on the command line.
    """
    for first, second in combinations(arguments, 2):
        both = f"{first.word} [{first.source}] contradicts {second.word} [{second.source}]"
        if first.name == second.name and not _agree(first, second, rules):
            yield f"{both}: of two words of one name the kernel goes by the later, mostly, which is {second.word} here"
        elif text := _contrary(first.word, second.word, rules):
            yield f"{both}: {text}; both would be read"


def _agree(first: KernelArgument, second: KernelArgument, rules: Sequence[KernelArgumentRule]) -> bool:
    if any(fnmatchcase(first.name, name) for rule in rules for name in rule.repeats):
        return True
    return _meaning(first.value) == _meaning(second.value)


def _meaning(value: str | None) -> str | bool | None:
    lower = (value or "").lower()
    return True if lower in TRUE else False if lower in FALSE else value


def _contrary(first: str, second: str, rules: Sequence[KernelArgumentRule]) -> str:
    for rule in rules:
        for one, other in ((first, second), (second, first)):
            if any(fnmatchcase(one, w) for w in rule.words) and any(fnmatchcase(other, w) for w in rule.against):
                return rule.text
    return ""


# The text of the files is read and not run: what GRUB would make of a command in it is nobody's argument.
_AGREES = """\
told=
for file in /etc/default/grub /etc/default/grub.d/*.cfg; do
    case $file in */zz-provision-*) continue ;; esac
    [ -r "$file" ] || continue
    told=$told$(sed -nE 's/^[[:blank:]]*(export[[:blank:]]+)?GRUB_CMDLINE_LINUX(_DEFAULT)?=//p' "$file" |
        tr "\\042\\047" '  ' | tr -s ' \\t' '\\n\\n' |
        while IFS= read -r word; do
            printf '%s\\n' "$contrary" | while read -r theirs ours why; do
                [ "$ours" != "$word" ] || continue
                # shellcheck disable=SC2254
                case $word in $theirs) ;; *) continue ;; esac
                printf '%s\\n' "$agreeing" | grep -qxF -e "$word" && continue
                printf '%s says %s, the plan says %s %s. ' "$file" "$word" "$ours" "$why"
            done
        done)
done
[ -z "$told" ] || { printf '%s\\n' "$told"; exit 1; }
echo 'nothing there contradicts the plan'
"""


def agrees(arguments: Sequence[KernelArgument], rules: Sequence[KernelArgumentRule]) -> str:
    """Test: no word in GRUB's settings on the node contradicts these; the evidence names file, words and sources."""
    single = [a for a in arguments if not any(fnmatchcase(a.name, name) for rule in rules for name in rule.repeats)]
    table = [
        f"{a.name}=* {a.word} [{a.source}], which stands later and so wins for most arguments"
        for a in single
        if a.value is not None
    ]
    for rule in rules:
        for argument in arguments:
            for side, other in ((rule.words, rule.against), (rule.against, rule.words)):
                if any(fnmatchcase(argument.word, word) for word in side):
                    table += [f"{word} {argument.word} [{argument.source}]: {rule.text}" for word in other]
    same = [f"{a.name}={value}" for a in single for value in _synonyms(a.value)]
    return program(_AGREES, contrary=lines(table), agreeing=lines(same))


def _synonyms(value: str | None) -> Sequence[str]:
    return next((sorted(words) for words in (TRUE, FALSE) if (value or "").lower() in words), [])
