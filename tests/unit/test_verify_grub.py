"""Which kernel GRUB starts by default, from menus as grub-mkconfig writes them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from provision.verify.grub import default_entry, menu_entries

HEADER = """\
if [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="{default}"
fi
"""

ENTRIES = """\
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux $menuentry_id_option 'gnulinux-simple-af' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	echo	'Loading Linux NEW ...'
	linux	/boot/vmlinuz-9.2-new root=UUID=af ro quiet
	initrd	/boot/initrd.img-9.2-new
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-af' {
	menuentry 'Debian GNU/Linux, with Linux 9.2-new' $menuentry_id_option 'gnulinux-9.2-new-advanced-af' {
		linux	/boot/vmlinuz-9.2-new root=UUID=af ro quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 9.1-old' $menuentry_id_option 'gnulinux-9.1-old-advanced-af' {
		linux	/boot/vmlinuz-9.1-old root=UUID=af ro quiet
	}
}
menuentry 'It'\\''s the firmware' $menuentry_id_option 'uefi-firmware' {
	fwsetup
}
"""


def menu(default: str = "${saved_entry}") -> str:
    return HEADER.format(default=default) + ENTRIES


OLD = "gnulinux-advanced-af>gnulinux-9.1-old-advanced-af"


@pytest.mark.parametrize(
    ("default", "environment", "release"),
    [
        pytest.param("${saved_entry}", {"saved_entry": OLD}, "9.1-old", id="saved by id"),
        pytest.param(
            "${saved_entry}",
            {"saved_entry": "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 9.1-old"},
            "9.1-old",
            id="saved by title",
        ),
        pytest.param("${saved_entry}", {"saved_entry": "1>1"}, "9.1-old", id="saved by number"),
        pytest.param("${saved_entry}", {}, "9.2-new", id="nothing saved starts the first"),
        pytest.param("${saved_entry}", {"saved_entry": "gone"}, "9.2-new", id="gone, so the first"),
        pytest.param("${saved_entry}", {"saved_entry": "gnulinux-advanced-af>gone"}, "9.2-new", id="gone in a submenu"),
        pytest.param("${saved_entry}", {"saved_entry": "1"}, "9.2-new", id="a submenu starts its first"),
        pytest.param("${saved_entry}", {"next_entry": OLD}, "9.2-new", id="a trial is not the default"),
        pytest.param("0", {"saved_entry": OLD}, "9.2-new", id="a menu that does not follow what is saved"),
        pytest.param("1>1", {}, "9.1-old", id="a fixed entry"),
        pytest.param("${saved_entry}", {"saved_entry": "uefi-firmware"}, "", id="an entry without a kernel"),
    ],
)
def test_the_default_is_the_one_that_grub_would_start(
    default: str, environment: Mapping[str, str], release: str
) -> None:
    entry = default_entry(menu(default), environment)
    assert (entry.release, entry.words) == (release, ("root=UUID=af", "ro", "quiet") if release else ())


def test_a_menu_without_entries_starts_nothing() -> None:
    assert default_entry("", {"saved_entry": OLD}).release == ""


def test_entries_nest_and_keep_their_quotes() -> None:
    first, advanced, firmware = menu_entries(menu())
    assert (first.release, [e.release for e in advanced.entries]) == ("9.2-new", ["9.2-new", "9.1-old"])
    assert firmware.title == "It's the firmware"
