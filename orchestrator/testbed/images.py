"""Builds the images that are missing: a root filesystem once, then one thin image per role, side by side and without network."""

import io
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
import docker.errors  # noqa: TID251

from orchestrator.errors import EngineError
from orchestrator.host.rootfs import bootstrap_root, read_packages
from orchestrator.host.wheels import download_wheels
from orchestrator.testbed.border import engine_border
from orchestrator.testbed.image_sources import BASE, HASH_LENGTH, ROLES, Source, image_tag, pack_context, read_source

REGISTRY_ROOT = "debian:bookworm-slim"
REGISTRY_FILE = "Dockerfile.registry"
INSPECT_SCRIPT = """\
import json, platform, subprocess
query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"]
listing = subprocess.run(query, capture_output=True, text=True, check=True).stdout
packages = dict(line.split(" ", 1) for line in listing.splitlines())
python = ".".join(platform.python_version_tuple()[:2])
print(json.dumps({"python": python, "architecture": platform.machine(), "packages": packages}))
"""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Tags by role, and the Debian packages of the root filesystem with their versions."""

    tags: Mapping[str, str]
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Root:
    """A root filesystem image: its Python (`3.11`), machine (`x86_64`) and packages."""

    tag: str
    python: str
    architecture: str
    packages: Mapping[str, str]


class ImageBuilder:
    """Builds into one engine. `cache` is a directory on this machine for wheels and root filesystems."""

    def __init__(self, *, repository: Path, cache: Path, progress: Progress, client: docker.APIClient | None = None) -> None:
        with engine_border("be reached"):
            self._api: Any = client or docker.APIClient(version="auto", timeout=900)
        self._repository = repository
        self._cache = cache
        self._progress = progress

    def build(self) -> Images:
        """The images of every role; those that exist already are left alone.

        Raises:
            EnvironmentUnmetError: no registry answers and the host's packages cannot be used either.
            EngineError: a build step failed; the message ends with its output. CommandError: a download failed.
        """
        base = read_source(self._repository, BASE)
        root_hash = self._hash_root(base)
        base_tag = image_tag(BASE, base.content_hash(root_hash))
        sources = {role: read_source(self._repository, role) for role in ROLES}
        tags = {role: image_tag(role, source.content_hash(base_tag)) for role, source in sources.items()}
        missing = [role for role, tag in tags.items() if not self._exists(tag)]
        root = self._root(base, root_hash)
        if missing:
            if not self._exists(base_tag):
                self._build(base, base_tag, root.tag, self._wheels(base, root))
            # One after the other: roles share packages, and so their downloads.
            wheels = {role: self._wheels(sources[role], root) for role in missing}
            with ThreadPoolExecutor(max_workers=2) as pool:
                for _ in pool.map(lambda role: self._build(sources[role], tags[role], base_tag, wheels[role]), missing):
                    pass
        return Images(tags=tags, packages=root.packages)

    def _hash_root(self, base: Source) -> str:
        listing = Source(name="root", files={name: base.files[name] for name in ("packages.txt", REGISTRY_FILE)})
        return listing.content_hash()

    def _exists(self, tag: str) -> bool:
        with engine_border(f"look for image {tag}"):
            try:
                self._api.inspect_image(tag)
            except docker.errors.ImageNotFound:
                return False
        return True

    def _root(self, base: Source, root_hash: str) -> _Root:
        tag = image_tag("root", root_hash)
        if not self._exists(tag):
            self._make_root(base, tag)
        with engine_border(f"inspect {tag}"):
            identity = self._api.inspect_image(tag)["Id"].partition(":")[2][:HASH_LENGTH]
        record = self._cache / "images" / f"{identity}.json"
        if not record.is_file():
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(self._run(tag, ["python3", "-c", INSPECT_SCRIPT]), encoding="utf-8")
        return _Root(tag=tag, **json.loads(record.read_text(encoding="utf-8")))

    def _make_root(self, base: Source, tag: str) -> None:
        packages = read_packages(base.files["packages.txt"])
        if self._registry_answers():
            self._progress(f"root filesystem from {REGISTRY_ROOT}")
            context = pack_context(base, None, {"packages.list": "\n".join(packages).encode()})
            self._run_build(context, tag, dockerfile=REGISTRY_FILE, arguments={}, network=None)
            return
        self._progress("root filesystem from this machine's apt (no image registry answers)")
        tar = self._cache / "root.tar"
        bootstrap_root(packages, tar)
        with engine_border("import the root filesystem"):
            repository, _, version = tag.rpartition(":")
            answer = self._api.import_image_from_file(str(tar), repository=repository, tag=version)
        tar.unlink()
        if '"error"' in str(answer):
            raise EngineError(f"the engine could not import the root filesystem: {answer}")

    def _registry_answers(self) -> bool:
        if self._exists(REGISTRY_ROOT):
            return True
        try:
            with engine_border(f"pull {REGISTRY_ROOT}"):
                self._api.pull(REGISTRY_ROOT)
        except EngineError:
            return False
        return True

    def _wheels(self, source: Source, root: _Root) -> Path | None:
        if source.requirements is None:
            return None
        self._progress(f"wheels for {source.name}")
        return download_wheels(
            source.requirements, python=root.python, architecture=root.architecture, cache=self._cache / "wheels"
        )

    def _build(self, source: Source, tag: str, parent: str, wheels: Path | None) -> None:
        self._progress(f"image {source.name}")
        self._run_build(pack_context(source, wheels), tag, dockerfile="Dockerfile", arguments={"BASE": parent}, network="none")

    def _run_build(self, context: bytes, tag: str, *, dockerfile: str, arguments: Mapping[str, str], network: str | None) -> None:
        output: list[str] = []
        with engine_border(f"build {tag}"):
            steps = self._api.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                dockerfile=dockerfile,
                tag=tag,
                buildargs=dict(arguments),
                network_mode=network,
                rm=True,
                forcerm=True,
                decode=True,
            )
            for step in steps:
                output.append(step.get("stream", ""))
                if "error" in step:
                    tail = "\n".join("".join(output).splitlines()[-20:])
                    raise EngineError(f"building {tag} failed: {step['error']}\n{tail}")

    def _run(self, image: str, argv: list[str]) -> str:
        """The standard output of a command in a container without network, which is removed again."""
        with engine_border(f"run {argv[0]} in {image}"):
            host_config = self._api.create_host_config(network_mode="none")
            container = self._api.create_container(image, entrypoint=[argv[0]], command=argv[1:], host_config=host_config)["Id"]
            try:
                self._api.start(container)
                status = self._api.wait(container, timeout=120)["StatusCode"]
                output = self._api.logs(container, stdout=True, stderr=status != 0).decode(errors="replace")
            finally:
                self._api.remove_container(container, force=True)
        if status != 0:
            raise EngineError(f"`{argv[0]}` in {image} ended with status {status}: {output}")
        return str(output)


def build_images(*, repository: Path, cache: Path, progress: Progress) -> Images:
    """Every role's image, built where missing. Raises TestbedError subclasses (see ImageBuilder.build)."""
    return ImageBuilder(repository=repository, cache=cache, progress=progress).build()
