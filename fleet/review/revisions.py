"""What git knows of the base: which commit it is, and its files in a folder for a while."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fleet.errors import FleetError, Problem
from fleet.review.running import Done, run


@dataclass(frozen=True, slots=True)
class Base:
    ref: str
    """As it was asked for."""
    commit: str
    top: Path
    """Of the work tree."""

    def below_top(self, folder: Path) -> Path:
        return folder.resolve().relative_to(self.top.resolve())


async def find_base(ref: str, root: Path) -> Base:
    """Where the pull request of `root`'s work tree into `ref` begins. Raises FleetError.

    That is the last commit that both have: what `ref` has taken in since is no change of this pull request.
    """
    top = await _git(root, "rev-parse", "--show-toplevel")
    if top.status:
        raise FleetError([Problem(str(root), "is in no git repository, so there is nothing to compare with")])
    # Not as an option, whatever it looks like.
    found = await _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found.status:
        fix = f"git fetch origin {ref.removeprefix('origin/')}"
        raise FleetError([Problem("--base", f"git knows no commit {ref!r} here", fix)])
    commit = found.out.strip()
    shared = await _git(root, "merge-base", "HEAD", commit)
    # A shallow clone may not reach back that far.
    return Base(ref, commit if shared.status else shared.out.strip(), Path(top.out.removesuffix("\n")))


@dataclass(frozen=True, slots=True)
class Head:
    commit: str
    """The last one below the work tree."""
    changed: tuple[str, ...]
    """Files of the work tree that are not as in the base, relative to its top; those that git does not know are not."""
    is_committed: bool


async def find_head(base: Base) -> Head:
    commit, changed, open_ = [
        await _git(base.top, *arguments)
        for arguments in (
            ("rev-parse", "HEAD"),
            ("diff", "--name-only", "-z", base.commit, "--"),
            ("status", "--porcelain", "--untracked-files=no"),
        )
    ]
    files = tuple(each for each in changed.out.split("\0") if each)
    return Head(commit.out.strip(), files, not open_.out.strip())


@asynccontextmanager
async def files_of(base: Base) -> AsyncGenerator[Path]:
    """The base's files in a folder that goes afterwards. Raises FleetError.

    Through an index of its own: git's own copies (`git worktree`) leave a trace in the repository when killed.
    """
    with TemporaryDirectory(prefix="fleet-preview-", ignore_cleanup_errors=True) as name:
        tree, index = Path(name, "tree"), {"GIT_INDEX_FILE": str(Path(name, "index"))}
        for arguments in (["read-tree", base.commit], ["checkout-index", "--all", f"--prefix={tree}/"]):
            done = await _git(base.top, *arguments, environment=index)
            if done.status:
                message = f"git cannot write the files of {base.ref}: {done.err.strip()}"
                raise FleetError([Problem("--base", message)])
        yield tree


async def _git(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Done:
    try:
        return await run("git", "-C", str(folder), *arguments, environment=environment)
    except FileNotFoundError:
        raise FleetError([Problem("git", "is not on PATH")]) from None
