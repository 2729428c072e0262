"""Makes the files of a release: wheel, sdist, SBOM and checksums. `make release` runs it.

It builds the last commit, from a clone, so that nothing else gets in. The same commit gives the
same bytes: all times are that of the commit, or SOURCE_DATE_EPOCH. The wheel is built from the
sdist, and installed for the SBOM with the versions of requirements.lock.
"""

import argparse
import email
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
CHECKSUMS = "SHA256SUMS"
MODE = 0o644
"""The mode of a file in the sdist; 0o755 if it can be executed."""


def run(*command: str | Path) -> None:
    """Run a command; its output is shown only if it fails, which ends the program."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nrelease: {Path(command[0]).name} {command[1]} failed")


def build(kind: str, source: Path, out: Path) -> Path:
    """Build the `sdist` or the `wheel` of a source; returns its path."""
    build_with = ("--offline", "--no-build-isolation", "--python", sys.executable)
    run(BIN / "uv", "build", *build_with, f"--{kind}", "--out-dir", out, source)
    [built] = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def git(*arguments: str | Path) -> str:
    """What git prints about the checkout."""
    command = ("git", "-C", ROOT, *arguments)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def normalize(sdist: Path, target: Path, epoch: int) -> None:
    """Write the members of an sdist in order, without the times, users and modes of this build."""
    with (
        tarfile.open(sdist) as old,
        gzip.GzipFile(target, "wb", mtime=epoch) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mtime = member.type, member.size, epoch
            plain.mode = MODE | (0o111 if member.isdir() or member.mode & 0o100 else 0)
            new.addfile(plain, old.extractfile(member) if member.isreg() else None)


def build_both(out: Path) -> tuple[Path, Path]:
    """Build sdist and wheel of the last commit into a folder; returns their paths."""
    epoch = os.environ.setdefault("SOURCE_DATE_EPOCH", git("log", "-1", "--format=%ct"))
    os.umask(0o022)  # the modes of files get into the wheel
    with TemporaryDirectory() as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        git("clone", "--quiet", ROOT, source)
        sdist = build("sdist", source, built)
        normalize(sdist, out / sdist.name, int(epoch))
        wheel = build("wheel", out / sdist.name, built)
        shutil.copy(wheel, out / wheel.name)
    return out / sdist.name, out / wheel.name


def write_sbom(wheel: Path, target: Path) -> None:
    """Write the CycloneDX document of an environment with the wheel and what it requires."""
    with ZipFile(wheel) as files:
        [name] = [one for one in files.namelist() if one.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(files.read(name))
    with TemporaryDirectory() as folder:
        python = Path(folder) / "environment" / "bin" / "python"
        run(BIN / "uv", "venv", "--python", sys.executable, python.parent.parent)
        lock = ("--constraint", ROOT / "requirements.lock")
        found = ("--find-links", wheel.parent, f"{metadata['Name']}=={metadata['Version']}")
        run(BIN / "uv", "pip", "install", "--python", python, *lock, *found)
        project = Path(folder) / "pyproject.toml"
        project.write_text(
            f'[project]\nname = "{metadata["Name"]}"\nversion = "{metadata["Version"]}"\n'
            f'description = "{metadata["Summary"]}"\nlicense = "{metadata["License-Expression"]}"\n'
        )
        options = ("--pyproject", project, "--output-reproducible", "--output-file", target)
        run(BIN / "cyclonedx-py", "environment", *options, python)


def _made(folder: Path) -> list[Path]:
    """The files of releases in a folder, which may have others."""
    return sorted([*folder.glob("dsiem_shards-*"), *folder.glob(CHECKSUMS)])


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS of the files in a folder, as `sha256sum --check` reads it."""
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in _made(folder)
    ]
    (folder / CHECKSUMS).write_text("".join(sums))


def main() -> None:
    """Make the release in a folder, whose earlier releases are removed."""
    parser = argparse.ArgumentParser(description="Make the files of a release.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder, default dist")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for path in _made(out):
        path.unlink()
    if git("status", "--porcelain"):
        print("release: changes that are not committed are left out", file=sys.stderr)
    sdist, wheel = build_both(out)
    run(BIN / "twine", "check", "--strict", sdist, wheel)
    write_sbom(wheel, out / f"{sdist.name.removesuffix('.tar.gz')}.cdx.json")
    write_checksums(out)
    print(*_made(out), sep="\n")


if __name__ == "__main__":
    main()
