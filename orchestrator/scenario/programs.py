"""Programs of the user's own that go into containers: checked and fingerprinted before anything is planned."""

import hashlib
import struct
from pathlib import Path

from orchestrator.errors import Problem, ScenarioError
from orchestrator.model.plan import ProgramPlan

ELF_HEADER = struct.Struct("<4sBB10xHH")  # elf(5): magic, class, data encoding, type, machine
ELF_MAGIC, CLASS_64, LITTLE_ENDIAN = b"\x7fELF", 2, 1
EXECUTABLE, SHARED = 2, 3  # ET_EXEC, ET_DYN: position-independent executables are the latter
MACHINES = {62: "x86_64", 183: "aarch64"}  # EM_X86_64, EM_AARCH64
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


def read_program(scenario_file: Path, name: str, *, key: str, into: str, machine: str) -> ProgramPlan:
    """The program that `key` of the scenario names, relative to the scenario's file, as it goes into containers at `into`.

    `machine`: as uname(2) has it; images are made for the machine that they are made on.

    Raises:
        ScenarioError: no such file, not a regular one, not readable, not an executable for that machine.
    """
    source = (scenario_file.parent / name).resolve()

    def refuse(message: str, *, found: str, allowed: str | None = None) -> ScenarioError:
        return ScenarioError(scenario_file, [Problem(key=key, message=message, found=found, allowed=allowed)])

    if not source.exists():
        raise refuse("no such file", found=str(source))
    if not source.is_file():
        raise refuse("is not a regular file", found=str(source))
    try:
        content = source.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", found=str(source)) from None
    wanted = ALIASES.get(machine, machine)
    built_for = read_machine(content)
    if built_for != wanted:
        raise refuse("is not a program that nodes can run", found=f"{source}: {built_for}", allowed=f"a 64-bit ELF for {wanted}")
    return ProgramPlan(path=into, source=str(source), sha256=hashlib.sha256(content).hexdigest())


def read_machine(content: bytes) -> str:
    """What an executable was built for, as uname(2) has it, or in words what it is instead."""
    if len(content) < ELF_HEADER.size or not content.startswith(ELF_MAGIC):
        return "no ELF file"
    _, width, encoding, kind, machine = ELF_HEADER.unpack_from(content)
    if (width, encoding) != (CLASS_64, LITTLE_ENDIAN):
        return "an ELF file that is not 64-bit little-endian"
    if kind not in (EXECUTABLE, SHARED):
        return "an ELF file that is not executable"
    return MACHINES.get(machine, f"an ELF file for machine {machine}")
