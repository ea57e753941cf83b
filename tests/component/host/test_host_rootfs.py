"""How the root filesystem is asked of the host's apt."""

from pathlib import Path

from orchestrator.host.debian import install_command, is_debian_like, read_os_release
from orchestrator.host.rootfs import bootstrap_argv, parse_sources


def test_sources_are_the_files_of_the_distribution_s_own_archive_each_once() -> None:
    listing = (
        "/etc/apt/sources.list.d/debian.sources:1\tDebian\n"
        "/etc/apt/sources.list.d/debian.sources:2\tDebian\n"
        "/etc/apt/sources.list.d/tools.list:1\t. nodistro\n"
        "/etc/apt/sources.list:3\tUbuntu\n"
        "/etc/apt/sources.list.d/fresh.list:1\t\n"
    )
    assert parse_sources(listing) == (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def test_lists_that_were_never_fetched_give_no_sources() -> None:
    assert parse_sources("") == ()


def test_root_is_bootstrapped_from_the_host_s_sources_with_the_given_packages() -> None:
    argv = bootstrap_argv(["python3", "nftables"], "bookworm", [Path("/etc/apt/sources.list")], Path("/cache/root.tar"))
    assert argv[:3] == ("mmdebstrap", "--variant=minbase", "--include=python3,nftables")
    assert argv[-3:] == ("bookworm", "/cache/root.tar", "/etc/apt/sources.list")


def test_debian_and_what_descends_from_ubuntu_are_told_from_others(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('# a comment\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=xia\n')
    assert is_debian_like(read_os_release(file))
    assert read_os_release(file)["VERSION_CODENAME"] == "xia"
    assert not is_debian_like({"ID": "fedora"})
    assert not is_debian_like(read_os_release(tmp_path / "absent"))


def test_install_command_can_be_pasted() -> None:
    expected = "sudo apt-get update && sudo apt-get install --no-install-recommends docker.io iptables"
    assert install_command(["docker.io", "iptables"]) == expected
