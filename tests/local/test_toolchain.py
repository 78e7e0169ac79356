import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from local import cache, golang, toolchain
from local.builds import Build, install
from local.errors import LocalError

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="builds a real Go module")

REPOSITORY = Path(__file__).parents[2]
MAIN = 'package main\n\nvar version = "unset"\n\nfunc main() { println("%s", version) }\n'


@pytest.fixture(scope="session")
def go_cache() -> str:
    """The user's own, which has Go's standard library: to compile that takes longer than all tests here."""
    command = ["go", "env", "GOCACHE"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(autouse=True)
def own_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, go_cache: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOCACHE", go_cache)
    monkeypatch.setenv("GOPROXY", "off")


def write_module(folder: Path, *programs: str) -> None:
    for program in programs:
        (folder / "cmd" / program).mkdir(parents=True, exist_ok=True)
        (folder / "cmd" / program / "main.go").write_text(MAIN % program)
    (folder / "go.mod").write_text("module example.test/fake\n\ngo 1.26\n")


def fake(folder: Path, *programs: str) -> Build:
    return Build(
        folder,
        "example.test/fake",
        {program: f"example.test/fake/cmd/{program}" for program in programs},
        stamps=lambda _: {"main.version": "1.2.3"},
    )


@pytest.fixture
def build(tmp_path: Path) -> Build:
    write_module(tmp_path / "fake", "one", "two")
    return fake(tmp_path / "fake", "one", "two")


@pytest.fixture
def builds_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The module of each `go build` that is run."""
    made: list[str] = []
    original = golang.Go.build

    def counted(self: golang.Go, folder: Path, **rest: object) -> None:
        made.append(folder.name)
        original(self, folder, **rest)

    monkeypatch.setattr(golang.Go, "build", counted)
    return made


def output(program: Path) -> str:
    return subprocess.run([program], check=True, capture_output=True, text=True).stderr.strip()


def entry_of(build: Build) -> Path:
    (entry,) = (cache.root() / "tools").glob(f"{build.folder.name}-*")
    return entry


def test_programs_are_built_once_with_their_stamps_and_then_reused(build: Build, builds_made: list[str]) -> None:
    folder = install([build])
    assert [output(folder / name) for name in ("one", "two")] == ["one 1.2.3", "two 1.2.3"]
    assert install([build]) == folder
    assert builds_made == ["fake"]


def test_a_single_program_gets_its_canonical_name_whatever_its_package_is_called(tmp_path: Path) -> None:
    write_module(tmp_path / "fake", "v3")
    build = Build(tmp_path / "fake", "example.test/fake", {"etcd": "example.test/fake/cmd/v3"})
    assert output(install([build]) / "etcd") == "v3 unset"


def test_what_a_module_lacks_is_put_into_a_copy_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module, folder = tmp_path / "module", tmp_path / "stubbed"
    (module / "cmd" / "one").mkdir(parents=True)
    (module / "go.mod").write_text("module example.test/lacking\n\ngo 1.26\n")
    embedding = 'import _ "embed"\n\n//go:embed pages/index\nvar page string\n\nfunc main() { println(page) }\n'
    (module / "cmd" / "one" / "main.go").write_text(f"package main\n\n{embedding}")
    for read_only in (*module.rglob("*"), module):
        read_only.chmod(0o555 if read_only.is_dir() else 0o444)
    folder.mkdir()
    (folder / "go.mod").write_text("module example.test/stubbed\n\ngo 1.26\n\nrequire example.test/lacking v1.0.0\n")
    monkeypatch.setattr(golang.Go, "module", lambda *_: module)
    stubs = {"cmd/one/pages/index": "no pages"}
    programs = {"one": "example.test/lacking/cmd/one"}
    built = [Build(folder, "example.test/lacking", programs, stubs=each) for each in (stubs, {**stubs, "more": ""})]
    assert output(install(built[:1]) / "one") == "no pages"
    assert len({build.key(golang.find()) for build in built}) == 2
    assert "replace" not in (folder / "go.mod").read_text()


def damage_truncate(entry: Path) -> None:
    os.truncate(entry / "one", 1000)


def damage_one_byte(entry: Path) -> None:
    content = bytearray((entry / "one").read_bytes())
    content[len(content) // 2] ^= 1
    (entry / "one").write_bytes(content)


def damage_missing(entry: Path) -> None:
    (entry / "two").unlink()


def damage_stray(entry: Path) -> None:
    (entry / "three").write_text("not built here")


def damage_sums(entry: Path) -> None:
    (entry / cache.SUMS).write_bytes(b"\xff\x00")


def damage_no_sums(entry: Path) -> None:
    (entry / cache.SUMS).unlink()


def damage_unreadable(entry: Path) -> None:
    (entry / "one").unlink()
    (entry / "one").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_one_byte,
        damage_missing,
        damage_stray,
        damage_sums,
        damage_no_sums,
        damage_unreadable,
    ],
)
def test_a_damaged_entry_is_said_and_rebuilt(
    build: Build, builds_made: list[str], capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    folder = install([build])
    damage(entry_of(build))
    capsys.readouterr()
    assert install([build]) == folder
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert len(said) == 1
    assert entry_of(build).name in said[0]
    assert output(folder / "one") == "one 1.2.3"
    assert cache.fault(entry_of(build)) is None
    assert builds_made == ["fake", "fake"]


def test_a_program_replaced_in_the_common_folder_is_linked_anew(build: Build) -> None:
    folder = install([build])
    (folder / "one").unlink()
    (folder / "one").write_text("something else")
    install([build])
    assert output(folder / "one") == "one 1.2.3"


def test_the_key_follows_what_is_built_and_not_the_tests(build: Build) -> None:
    go = golang.find()
    keys = [build.key(go)]
    (build.folder / "cmd" / "one" / "main_test.go").write_text("package main\n")
    assert build.key(go) == keys[0]
    (build.folder / "cmd" / "one" / "main.go").write_text(MAIN % "uno")
    keys.append(build.key(go))
    (build.folder / "go.sum").write_text("example.test/other v1.0.0/go.mod h1:abc=\n")
    keys.append(build.key(go))
    keys.append(Build(build.folder, build.module, build.programs, tags="slim", stamps=build.stamps).key(go))
    keys.append(Build(build.folder, build.module, build.programs, tags="slim").key(go))
    keys.append(build.key(golang.Go(go.program, {**go.identity, "GOVERSION": "go9.9"})))
    assert len(set(keys)) == len(keys)


def test_a_changed_source_is_built_beside_the_old_one(build: Build) -> None:
    old = install([build])
    (build.folder / "cmd" / "one" / "main.go").write_text(MAIN % "uno")
    new = install([build])
    assert [output(old / "one"), output(new / "one")] == ["one 1.2.3", "uno 1.2.3"]


def test_a_selection_builds_only_its_modules_and_shares_the_folder(tmp_path: Path, builds_made: list[str]) -> None:
    group = []
    for name in ("first", "second"):
        write_module(tmp_path / name, name)
        group.append(fake(tmp_path / name, name))
    folder = install(group, group[1:])
    assert builds_made == ["second"]
    assert not (folder / "first").exists()
    assert install(group) == folder
    assert builds_made == ["second", "first"]
    assert install(group, []) == folder


def install_and_count(folder: Path, report: Path) -> None:
    original = golang.Go.build

    def counted(self: golang.Go, *args: object, **rest: object) -> None:
        with report.open("a") as file:
            file.write("built\n")
        original(self, *args, **rest)

    golang.Go.build = counted
    install([fake(folder, "one", "two")])


def test_concurrent_callers_build_once_and_all_succeed(build: Build, tmp_path: Path) -> None:
    report = tmp_path / "report"
    context = get_context("fork")
    callers = [context.Process(target=install_and_count, args=(build.folder, report)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert [caller.exitcode for caller in callers] == [0] * 4
    assert report.read_text() == "built\n"
    assert output(install([build]) / "two") == "two 1.2.3"


KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from local import cache
    from local.builds import Build, install

    original = getattr(os, sys.argv[3])
    def killed(*args, **rest):
        if "staging" in str(args[0]):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **rest)
    setattr(os, sys.argv[3], killed)

    programs = {name: f"example.test/fake/cmd/{name}" for name in ("one", "two")}
    install([Build(Path(sys.argv[2]), "example.test/fake", programs, stamps=lambda _: {"main.version": "1.2.3"})])
"""


@pytest.mark.parametrize("at", ["rename", "mkdir"])
def test_a_caller_killed_midway_leaves_a_usable_cache(build: Build, at: str) -> None:
    script = textwrap.dedent(KILLED)
    done = subprocess.run([sys.executable, "-c", script, str(REPOSITORY), str(build.folder), at], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list((cache.root() / "tools").glob("fake-*")) == []
    assert output(install([build]) / "one") == "one 1.2.3"
    leftovers = [path for path in (cache.root() / "tools" / cache.STAGING).rglob("*") if path.suffix != ".lock"]
    assert leftovers == []


def test_a_killed_caller_takes_its_go_with_it(build: Build, tmp_path: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is Linux only")
    started, ended = tmp_path / "started", tmp_path / "ended"
    os.mkfifo(started)
    os.mkfifo(ended)
    slow = tmp_path / "bin" / "go"
    slow.parent.mkdir()
    # The fifo `ended` reaches its end only when the last process that holds it is gone.
    slow.write_text(
        f'#!/bin/sh\ncase $1 in build) exec 3>"{ended}"; echo up >"{started}"; exec sleep 600;; esac\n'
        f'exec "{shutil.which("go")}" "$@"\n'
    )
    slow.chmod(0o755)
    script = textwrap.dedent(KILLED)
    environment = {**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    caller = subprocess.Popen(
        [sys.executable, "-c", script, str(REPOSITORY), str(build.folder), "link"], env=environment
    )
    with ended.open() as until_gone:
        assert started.read_text() == "up\n"
        caller.kill()
        caller.wait()
        assert until_gone.read() == ""
    assert output(install([build]) / "one") == "one 1.2.3"


def test_missing_go_says_what_to_install(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalError, match=r"go is not on PATH.*install Go 1\.26 or newer"):
        install([build])


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "unknown"])
def test_old_go_is_refused_by_name(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    old = tmp_path / "go"
    old.write_text(f'#!/bin/sh\necho \'{{"GOVERSION": "{version}"}}\'\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(LocalError, match=rf"{old} is {version}, and the tools need Go 1\.26 or newer"):
        install([build])


def test_a_compile_error_shows_gos_words_and_leaves_no_entry(build: Build) -> None:
    (build.folder / "cmd" / "one" / "main.go").write_text("package main\n\nfunc main() { undefinedHere() }\n")
    with pytest.raises(LocalError, match=r"cannot build fake(?s:.*)undefined: undefinedHere"):
        install([build])
    assert list((cache.root() / "tools").glob("fake-*")) == []


def test_a_module_that_cannot_be_had_is_named(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOPROXY", (tmp_path / "empty").as_uri())
    (build.folder / "go.mod").write_text("module example.test/fake\n\ngo 1.26\n\nrequire example.test/absent v1.0.0\n")
    (build.folder / "go.sum").write_text(
        "example.test/absent v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        "example.test/absent v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )
    (build.folder / "cmd" / "one" / "main.go").write_text(
        'package main\n\nimport _ "example.test/absent"\n\nfunc main() {}\n'
    )
    with pytest.raises(LocalError, match=r"cannot get the modules of fake(?s:.*)example.test/absent(?s:.*)GOPROXY"):
        install([build])


def test_a_full_disk_says_where_to_make_room(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = tmp_path / "bin" / "go"
    full.parent.mkdir()
    full.write_text(
        '#!/bin/sh\ncase $1 in build) echo "mkdir /x: no space left on device"; exit 1;; esac\n'
        f'exec "{shutil.which("go")}" "$@"\n'
    )
    full.chmod(0o755)
    monkeypatch.setenv("PATH", f"{full.parent}:{os.environ['PATH']}")
    with pytest.raises(LocalError, match=r"no space left on device(?s:.*)Make room"):
        install([build])


def test_a_cache_that_cannot_be_written_is_named(build: Build, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder belongs")
    with pytest.raises(LocalError, match=r"cannot write the cache entry .*(?s:.*)XDG_CACHE_HOME"):
        install([build])


def test_the_users_go_flags_do_not_reach_the_build(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor -tags=nonsense")
    monkeypatch.setenv("GOWORK", "/nowhere/go.work")
    assert output(install([build]) / "one") == "one 1.2.3"


def test_an_unknown_tool_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no such tools: kubeadm"):
        toolchain.ensure(["etcd", "kubeadm"])


BUILDS = (*toolchain.FLEET, *toolchain.PULUMI, *toolchain.JUDGES)
TOOLS = [build for build in BUILDS if not build.module.startswith("prometheus-fleet/")]


@pytest.mark.parametrize("build", TOOLS, ids=lambda build: build.folder.name)
def test_every_tool_is_pinned_with_sums_and_declared_in_its_go_mod(build: Build) -> None:
    go_mod = (build.folder / "go.mod").read_text()
    assert build.version.startswith("v")
    assert f"{build.module} {build.version} h1:" in (build.folder / "go.sum").read_text()
    for package in build.programs.values():
        assert f"\t{package}\n" in go_mod or f"tool {package}\n" in go_mod


def test_what_judges_the_operators_objects_is_made_of_the_operator_that_runs() -> None:
    folder = toolchain.HERE / "tools"
    pins = [
        re.findall(r"prometheus-operator\S* v\S+", (folder / of / "go.mod").read_text())
        for of in ("operator", "operator-config")
    ]
    assert set(pins[1]) <= set(pins[0])
    assert pins[1]


def test_stamps_are_the_releases_own_versions() -> None:
    go = golang.find()
    versions = {build.folder.name: build for build in [*toolchain.FLEET, *toolchain.PULUMI]}
    prometheus, kubernetes = versions["prometheus"], versions["kubernetes"]
    pins = {"github.com/prometheus/prometheus": "v0.314.0", "k8s.io/kubernetes": "v1.36.3"}
    assert prometheus.stamps(pins) == {"github.com/prometheus/common/version.Version": "3.14.0"}
    assert kubernetes.stamps(pins)["k8s.io/component-base/version.gitVersion"] == "v1.36.3"
    assert kubernetes.stamps(pins)["k8s.io/component-base/version.gitMinor"] == "36"
    assert len({build.key(go) for build in versions.values()}) == len(versions)


def official(folder: Path, answer: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pulumi").write_text(f"#!/bin/sh\n{answer}\n")
    (folder / "pulumi").chmod(0o755)


@pytest.fixture
def pulumi_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    made = tmp_path / "made"
    monkeypatch.setattr(toolchain, "install", lambda _: made)
    return made


@pytest.mark.usefixtures("pulumi_made")
@pytest.mark.parametrize("version", ["v3.220.0", "v3.231.4", "v4.0.1"])
def test_an_official_pulumi_is_used_and_none_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    official(tmp_path / "bin", f"echo {version}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert toolchain.pulumi_bin() is None
    assert f"{version} is used" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["echo v3.219.9", "echo v2.300.0", "echo nonsense", "exit 1"])
def test_an_unfit_pulumi_on_path_is_said_and_one_is_built(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pulumi_made: Path,
    answer: str,
) -> None:
    official(tmp_path / "bin", answer)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert toolchain.pulumi_bin() == pulumi_made
    assert "the one built here is used" in capsys.readouterr().err


def test_the_built_pulumi_on_path_is_not_taken_for_an_official_one(
    monkeypatch: pytest.MonkeyPatch, pulumi_made: Path
) -> None:
    ours = cache.root() / "tools" / "bin-0123"
    official(ours, "echo v3.220.0")
    monkeypatch.setenv("PATH", f"{ours}:/usr/bin:/bin")
    assert toolchain.pulumi_bin() == pulumi_made
