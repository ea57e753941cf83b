"""Builds the images that are missing: a root filesystem once, then one thin image per role, side by side and without network."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker  # noqa: TID251 - this package is docker's only importer
import docker.errors  # noqa: TID251

from orchestrator.errors import EngineError, EnvironmentUnmetError, TestbedError
from orchestrator.host.rootfs import bootstrap_root
from orchestrator.host.wheels import download_wheels, wheel_version
from orchestrator.testbed.border import engine_border
from orchestrator.testbed.helper import run_helper
from orchestrator.testbed.image_sources import (
    BASE,
    ROLES,
    ROOT,
    Source,
    image_tag,
    pack_context,
    plan_tags,
    read_lines,
    read_source,
)

REGISTRY_ROOT = "debian:bookworm-slim"
REGISTRY_FILE = "Dockerfile.registry"
PACKAGE_LIST = "packages.txt"
CONTENT_LABEL = "ingress-testbed.content"
WHEELS_LABEL = "ingress-testbed.wheels"
BUILDERS = 2
OUTPUT_TAIL_LINES = 20
INSPECT_SCRIPT = """\
import json, platform, subprocess
query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"]
listing = subprocess.run(query, capture_output=True, text=True, check=True).stdout
packages = dict(line.split(" ", 1) for line in listing.splitlines())
python = ".".join(platform.python_version_tuple()[:2])
print(json.dumps({"python": python, "architecture": platform.machine(), "packages": packages}, sort_keys=True))
"""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Tags by role; versions of the Debian packages that all share, and of each role's Python packages."""

    tags: Mapping[str, str]
    base: str
    packages: Mapping[str, str]
    python_packages: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a root filesystem holds: its Python (`3.11`), machine (`x86_64`) and Debian packages."""

    python: str
    architecture: str
    packages: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """Every image that the present sources ask for."""

    root_tag: str
    base_tag: str
    tags: Mapping[str, str]
    base: Source
    sources: Mapping[str, Source]


def plan_images(repository: Path, roles: Sequence[str] = ROLES) -> ImagePlan:
    """Names of all images by the hash of their content; reads the repository only."""
    base = read_source(repository, BASE)
    root = Source(name=ROOT, files={name: base.files[name] for name in (PACKAGE_LIST, REGISTRY_FILE)})
    root_hash = root.content_hash()
    sources = {role: read_source(repository, role) for role in roles}
    base_tag, tags = plan_tags(base, root_hash, sources)
    return ImagePlan(root_tag=image_tag(ROOT, root_hash), base_tag=base_tag, tags=tags, base=base, sources=sources)


def build_images(
    client: docker.APIClient,
    *,
    repository: Path,
    cache: Path,
    roles: Sequence[str] = ROLES,
    progress: Progress = lambda text: None,
) -> Images:
    """Every role's image, built where missing. `cache`: a directory on this machine for wheels and logs.

    Raises:
        EnvironmentUnmetError: no registry answers and the host's packages cannot be used either.
        EngineError: a build step failed; the message has the step and the end of its output. CommandError: a download failed.
    """
    return ImageBuilder(client, plan_images(repository, roles), cache=cache, progress=progress).build()


class ImageBuilder:
    """Builds the images of a plan into one engine."""

    def __init__(self, client: docker.APIClient, plan: ImagePlan, *, cache: Path, progress: Progress) -> None:
        self._api: Any = client
        self._plan = plan
        self._cache = cache
        self._progress = progress

    def build(self) -> Images:
        """The images of every role; those that exist already are left alone."""
        plan = self._plan
        labels = {role: self._labels(tag) for role, tag in plan.tags.items()}
        if missing := [role for role, found in labels.items() if found is None]:
            content = self._build_base()
            with ThreadPoolExecutor(max_workers=BUILDERS) as pool:
                list(pool.map(lambda role: self._build_role(role, content), missing))
            labels = {role: self._labels(tag) for role, tag in plan.tags.items()}
        found = {role: mapping or {} for role, mapping in labels.items()}
        content = read_content(next(iter(found.values())))
        wheels = {role: json.loads(mapping.get(WHEELS_LABEL, "{}")) for role, mapping in found.items()}
        return Images(tags=plan.tags, base=plan.base_tag, packages=content.packages, python_packages=wheels)

    def _labels(self, tag: str) -> Mapping[str, str] | None:
        """An image's labels; None where there is no such image."""
        with engine_border(f"look for image {tag}"):
            try:
                found = self._api.inspect_image(tag)
            except docker.errors.ImageNotFound:
                return None
        return dict(found["Config"]["Labels"] or {})

    def _build_base(self) -> Content:
        plan = self._plan
        if (labels := self._labels(plan.base_tag)) is not None:
            return read_content(labels)
        if self._labels(plan.root_tag) is None:
            self._make_root()
        text = run_helper(self._api, plan.root_tag, ["python3", "-c", INSPECT_SCRIPT]).strip()
        self._progress("image base")
        self._build(pack_context(plan.base), plan.base_tag, parent=plan.root_tag, labels={CONTENT_LABEL: text})
        return read_content({CONTENT_LABEL: text})

    def _build_role(self, role: str, content: Content) -> None:
        source, tag = self._plan.sources[role], self._plan.tags[role]
        wheels: Sequence[Path] = ()
        if source.requirements is not None:
            self._progress(f"wheels for {role}")
            wheels = download_wheels(
                source.requirements,
                lock=source.lock,
                python=content.python,
                architecture=content.architecture,
                cache=self._cache / "wheels",
            )
        self._progress(f"image {role}")
        versions = json.dumps(dict(map(wheel_version, wheels)), sort_keys=True)
        self._build(pack_context(source, wheels), tag, parent=self._plan.base_tag, labels={WHEELS_LABEL: versions})

    def _make_root(self) -> None:
        """The root filesystem from where it can be had: a registry, else the host's own packages."""
        reasons = []
        for way in (self._root_from_registry, self._root_from_host):
            try:
                way()
            except TestbedError as error:
                reasons.append(error)
            else:
                return
        raise EnvironmentUnmetError(
            "no root filesystem for the images: " + "; ".join(str(reason) for reason in reasons), hint=reasons[-1].hint
        ) from reasons[-1]

    def _root_from_registry(self) -> None:
        if self._labels(REGISTRY_ROOT) is None:
            with engine_border(f"pull {REGISTRY_ROOT}"):
                self._api.pull(REGISTRY_ROOT)
        self._progress(f"root filesystem from {REGISTRY_ROOT}")
        packages = read_lines(self._plan.base.files[PACKAGE_LIST])
        context = pack_context(self._plan.base, (), {"packages.list": "\n".join(packages).encode()})
        # The only step of all builds that needs the network.
        self._build(context, self._plan.root_tag, dockerfile=REGISTRY_FILE, network=None)

    def _root_from_host(self) -> None:
        self._progress("root filesystem from this machine's apt, since no image registry answers (takes about a minute)")
        tar = self._cache / f"{self._plan.root_tag.rpartition(':')[2]}.tar"
        bootstrap_root(read_lines(self._plan.base.files[PACKAGE_LIST]), tar)
        with engine_border("import the root filesystem"):
            repository, _, version = self._plan.root_tag.rpartition(":")
            answer = self._api.import_image_from_file(str(tar), repository=repository, tag=version)
        tar.unlink()
        if '"error"' in str(answer):
            raise EngineError(f"the engine could not import the root filesystem: {answer}")

    def _build(
        self,
        context: bytes,
        tag: str,
        *,
        dockerfile: str = "Dockerfile",
        parent: str | None = None,
        labels: Mapping[str, str] | None = None,
        network: str | None = "none",
    ) -> None:
        step, output, refusal = "", "", None
        with engine_border(f"build {tag}"):
            answer = self._api.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                dockerfile=dockerfile,
                tag=tag,
                buildargs={"BASE": parent} if parent is not None else {},
                labels=dict(labels or {}),
                network_mode=network,
                rm=True,
                forcerm=True,
                decode=True,
            )
            for item in answer:  # to its end, or the connection stays open
                text = item.get("stream", "")
                step = text.strip() if text.startswith("Step ") else step
                output += text
                refusal = item.get("error", refusal)
        if refusal is not None:
            tail = "\n".join(output.splitlines()[-OUTPUT_TAIL_LINES:])
            raise EngineError(f"building {tag} failed at {step or 'its start'}: {refusal}\n{tail}")


def read_content(labels: Mapping[str, str]) -> Content:
    """What the base image's label says, which every role's image inherits."""
    return Content(**json.loads(labels[CONTENT_LABEL]))
