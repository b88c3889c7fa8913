"""What is handed to operators works as it stands: examples, image, compose file, sidecar, service.

Nothing here needs a network or a container engine. What can be read is read with the eyes of the program
that will read it: our own configuration, Kubernetes's schemas, ``systemd-analyze``.
"""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from deploy.compile_packages import ROOT
from kidoproxy.config import Config
from kidoproxy.config.read import load
from tests.needs import needs

DEPLOY: Final = ROOT / "deploy"
SIDECAR: Final = "kubernetes-sidecar.yaml"


def text(name: str) -> str:
    """A file of the project."""
    return Path(ROOT, name).read_text(encoding="utf-8")


def instructions(word: str) -> list[str]:
    """What follows `word` in the Dockerfile, one string for each instruction, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", " ", text("Dockerfile"))
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(f"{word} ")]


class TestExamples:
    @pytest.mark.parametrize("name", ["ring.toml", "copy.toml", "compose.toml", "example/kidoproxy.toml"])
    def test_an_example_is_a_valid_configuration(self, name: str) -> None:
        """Without a single variable set: an example that cannot start would teach nothing."""
        assert load(DEPLOY / name, {}).listening_pools()

    @pytest.mark.parametrize("name", ["ring.toml", "copy.toml"])
    def test_what_an_example_says_in_comments_is_valid_too(self, name: str, tmp_path: Path) -> None:
        """A reader takes away the # that stands before TOML, and it works; before prose there is a space after it."""
        (tmp_path / name).write_text(re.sub(r"(?m)^#(?=\S)", "", text(f"deploy/{name}")), encoding="utf-8")
        config = load(tmp_path / name, {"NODE_PASSWORD": "x", "CLIENTS_PASSWORD": "y"})
        assert len(config.pools) > len(load(DEPLOY / name, {}).pools)

    def test_the_examples_promise_what_they_are_named_for(self) -> None:
        """ring.toml is a ring, copy.toml has copies and one worker to order their writes."""
        assert [pool.mode for pool in load(DEPLOY / "ring.toml", {}).pools.values()] == ["ring"]
        copies = load(DEPLOY / "copy.toml", {})
        assert [pool.mode for pool in copies.pools.values()] == ["copy"]
        assert copies.workers == 1


class TestImage:
    def test_the_compiler_stays_in_the_first_stage(self) -> None:
        """Two stages: what ships has no compiler and no sources of the build."""
        assert len(instructions("FROM")) == 2
        last = text("Dockerfile").rpartition("\nFROM ")[2]
        assert "gcc" not in last
        assert "COPY --from=build" in last

    def test_the_image_holds_the_compiled_build(self) -> None:
        """A failed compilation fails the build of the image."""
        assert any("KIDOPROXY_COMPILE=require" in run for run in instructions("RUN"))

    def test_it_does_not_run_as_root(self) -> None:
        """The last user is a number other than 0, for Kubernetes cannot look up a name."""
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])

    def test_its_health_is_asked_where_it_is_exposed(self) -> None:
        """The check asks the admin listener, on a port that the image names."""
        (check,) = instructions("HEALTHCHECK")
        port = re.search(r"127\.0\.0\.1', (\d+)", check)
        assert port is not None
        assert port[1] in instructions("EXPOSE")[0].split()
        assert "/healthz" in check

    def test_it_is_stopped_with_the_signal_that_drains(self) -> None:
        """SIGTERM reaches the proxy itself: no shell stands between."""
        assert instructions("STOPSIGNAL") == ["SIGTERM"]
        assert instructions("ENTRYPOINT") == ['["kidoproxy"]']
        assert instructions("CMD") == ['["serve", "--config", "/etc/kidoproxy/kidoproxy.toml"]']

    def test_no_secret_is_baked_in(self) -> None:
        """Neither build arguments nor variables carry one."""
        carried = " ".join(instructions("ARG") + instructions("ENV")).lower()
        assert not re.search(r"password|secret|token|key", carried)

    def test_everything_that_is_copied_is_sent_to_the_builder(self) -> None:
        """A file in COPY exists and .dockerignore lets it through; everything else stays at home."""
        ignored = [line for line in text(".dockerignore").splitlines() if line and not line.startswith("#")]
        assert ignored[0] == "*"
        let_through = {line[1:] for line in ignored if line.startswith("!")}
        copied = [words for words in map(str.split, instructions("COPY")) if not words[0].startswith("--from")]
        sources = {source for words in copied for source in words[:-1]}
        assert sources == let_through
        assert [source for source in sources if not Path(ROOT, source).exists()] == []


def compose() -> dict[str, Any]:
    """docker-compose.yml, its services."""
    services: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))["services"]
    return services


class TestCompose:
    def test_the_configuration_names_the_services(self) -> None:
        """Every node of deploy/compose.toml is a container of the file, and each of them is used."""
        (pool,) = load(DEPLOY / "compose.toml", {}).pools.values()
        assert {node.address.host for node in pool.nodes} == set(compose()) - {"proxy"}

    def test_it_is_mounted_where_the_image_looks(self) -> None:
        """Read-only, at the path of the image's command."""
        (mount,) = compose()["proxy"]["volumes"]
        source, target, mode = mount.split(":")
        assert Path(ROOT, source) == DEPLOY / "compose.toml"
        assert f'"{target}"' in instructions("CMD")[0]
        assert mode == "ro"

    def test_only_this_machine_can_connect(self) -> None:
        """Every port is published on the loopback, and is one that the proxy listens on."""
        config = load(DEPLOY / "compose.toml", {})
        assert config.admin is not None
        listens = {address.port for pool in config.listening_pools() for address in pool.listen} | {config.admin.port}
        published = [port.rsplit(":", 2) for port in compose()["proxy"]["ports"]]
        assert {host for host, _, _ in published} == {"127.0.0.1"}
        assert {int(inner) for _, _, inner in published} == listens

    @pytest.mark.parametrize("service", ["proxy", "redis-a", "redis-b", "redis-c"])
    def test_no_container_may_do_more_than_it_must(self, service: str) -> None:
        """No capabilities, none to be had, and a file system that cannot be written."""
        settings = compose()[service]
        assert settings["cap_drop"] == ["ALL"]
        assert settings["security_opt"] == ["no-new-privileges:true"]
        assert settings["read_only"] is True

    def test_the_proxy_waits_for_healthy_nodes(self) -> None:
        """Each node has a health check, and the proxy starts after all of them."""
        nodes = set(compose()) - {"proxy"}
        assert all("healthcheck" in compose()[node] for node in nodes)
        assert compose()["proxy"]["depends_on"] == {node: {"condition": "service_healthy"} for node in nodes}

    def test_it_is_given_the_time_to_drain(self) -> None:
        """The engine waits longer than the proxy does."""
        grace = int(compose()["proxy"]["stop_grace_period"].removesuffix("s"))
        assert grace > load(DEPLOY / "compose.toml", {}).drain_seconds


def manifests() -> dict[str, dict[str, Any]]:
    """The sidecar's manifests by kind."""
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(text(f"deploy/{SIDECAR}"))}


def sidecar_config(tmp_path: Path) -> Config:
    """The configuration in the ConfigMap, as the proxy reads it."""
    file = tmp_path / "kidoproxy.toml"
    file.write_text(manifests()["ConfigMap"]["data"]["kidoproxy.toml"], encoding="utf-8")
    return load(file, {"NODE_PASSWORD": "x"})


class TestSidecar:
    @pytest.mark.sources
    @pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
    @pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "Deployment"])
    def test_kubernetes_accepts_the_manifests(self, kind: str, version: str) -> None:
        """No unknown field, no wrong type: by the oldest version that has sidecars, and by the newest."""
        kubernetes_validate.validate(manifests()[kind], version, strict=True)

    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = manifests()["Deployment"]["spec"]["template"]["spec"]
        return pod

    def test_the_application_and_the_probes_ask_where_it_listens(self, tmp_path: Path) -> None:
        """The application on the pod's loopback, the kubelet on an address it can reach."""
        config = sidecar_config(tmp_path)
        (pool,) = config.listening_pools()
        (proxy,), (app,) = self.pod()["initContainers"], self.pod()["containers"]
        (redis_url,) = [variable["value"] for variable in app["env"] if variable["name"] == "REDIS_URL"]
        assert redis_url == f"redis://{pool.listen[0]}/0"
        assert config.admin is not None
        assert config.admin.host == "0.0.0.0"
        assert {port["name"]: port["containerPort"] for port in proxy["ports"]} == {"admin": config.admin.port}
        probes = [proxy[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
        assert {probe["port"] for probe in probes} == {"admin"}

    def test_it_starts_before_the_application_and_ends_after_it(self, tmp_path: Path) -> None:
        """A sidecar in Kubernetes's own sense, with the time to drain."""
        assert self.pod()["initContainers"][0]["restartPolicy"] == "Always"
        assert self.pod()["terminationGracePeriodSeconds"] > sidecar_config(tmp_path).drain_seconds

    def test_it_may_do_no_more_than_it_must(self) -> None:
        """Not root, no privileges, a read-only file system, bounded memory."""
        (proxy,) = self.pod()["initContainers"]
        context = proxy["securityContext"]
        assert instructions("USER")[-1] == f"{context['runAsUser']}:{context['runAsGroup']}"
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert self.pod()["securityContext"]["runAsNonRoot"] is True
        assert proxy["resources"]["limits"]["memory"]

    def test_clients_at_their_limits_do_not_get_it_killed(self, tmp_path: Path) -> None:
        """The memory limit holds the worst case that the configuration allows, beside the proxy itself."""
        (proxy,) = self.pod()["initContainers"]
        (pool,) = sidecar_config(tmp_path).listening_pools()
        limits = pool.limits
        of_one = max(limits.client_output_bytes, limits.pubsub_output_bytes) + limits.query_buffer_bytes
        assert limits.bulk_bytes <= limits.query_buffer_bytes
        assert memory(proxy["resources"]["limits"]) >= limits.max_clients * of_one + memory(
            proxy["resources"]["requests"]
        )


def memory(resources: dict[str, str]) -> int:
    """``{ memory: 64Mi }`` in bytes."""
    number, unit = resources["memory"][:-2], resources["memory"][-2:]
    return int(number) * {"Mi": 1 << 20, "Gi": 1 << 30}[unit]


class TestService:
    @pytest.fixture
    def unit(self, tmp_path: Path) -> Path:
        """The unit with a program that is there: ``systemd-analyze`` looks for it."""
        path = tmp_path / "kidoproxy.service"
        command, found = re.subn(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", text("deploy/kidoproxy.service"))
        assert found == 2
        path.write_text(command, encoding="utf-8")
        path.with_suffix(".socket").write_text(text("deploy/kidoproxy.socket"), encoding="utf-8")
        return path

    @pytest.mark.sources
    def test_systemd_understands_every_line(self, unit: Path) -> None:
        """An unknown key is only a warning with status 0: any output is a failure."""
        command = [needs("systemd-analyze"), "verify", str(unit), str(unit.with_suffix(".socket"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")

    @pytest.mark.sources
    def test_it_is_locked_in(self, unit: Path) -> None:
        """systemd's own judgement of the exposure, from 0 to 10, stays at OK."""
        command = [needs("systemd-analyze"), "security", "--offline=true", "--threshold=20", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    def test_it_is_given_the_time_to_drain_and_not_restarted_for_a_bad_file(self, tmp_path: Path) -> None:
        """systemd waits longer than the proxy does; exit status 2 is final."""
        unit = text("deploy/kidoproxy.service")
        stop = re.search(r"(?m)^TimeoutStopSec=(\d+)$", unit)
        assert stop is not None
        assert int(stop[1]) > load(DEPLOY / "ring.toml", {}).drain_seconds
        assert "\nRestartPreventExitStatus=2\n" in unit

    def test_its_socket_listens_where_the_example_does(self) -> None:
        """Word for word, or the proxy would not start."""
        (stream,) = re.findall(r"(?m)^ListenStream=(.*)$", text("deploy/kidoproxy.socket"))
        (pool,) = load(DEPLOY / "ring.toml", {}).listening_pools()
        assert stream in map(str, pool.listen)

    def test_it_leaves_no_secrets_behind_and_the_machine_its_memory(self) -> None:
        """No core dump, and a bound on memory."""
        unit = text("deploy/kidoproxy.service")
        assert "\nLimitCORE=0\n" in unit
        assert re.search(r"(?m)^MemoryMax=\d+%$", unit)


class TestTestCommand:
    def test_ci_runs_the_line_of_the_readme(self) -> None:
        """What a contributor is asked to run is what continuous integration runs, word for word."""
        (line,) = [line for line in text(".ci/run").splitlines() if line.endswith("bin/tox -p")]
        assert line in map(str.strip, text("README.md").splitlines())

    def test_the_sdist_can_build_the_wheel(self) -> None:
        """The build hook travels with the sources."""
        listed = re.search(r"(?s)targets\.sdist\]\ninclude = \[(.*?)\]", text("pyproject.toml"))
        assert listed is not None
        assert any(fnmatch("deploy", entry.strip().strip('"')) for entry in listed[1].split(","))


class TestWheels:
    SETTINGS: Final[dict[str, Any]] = tomllib.loads(text("pyproject.toml"))

    def wheels(self) -> dict[str, Any]:
        """What cibuildwheel is told."""
        found: dict[str, Any] = self.SETTINGS["tool"]["cibuildwheel"]
        return found

    def test_every_supported_python_has_wheels(self) -> None:
        """From the oldest that installs on, none left out; a wheel without the compiled core is an error."""
        oldest = int(self.SETTINGS["project"]["requires-python"].removeprefix(">=3."))
        patterns = self.wheels()["build"].split()
        assert patterns == [f"cp3{minor}-*" for minor in range(oldest, oldest + len(patterns))]
        assert patterns[-1] == "cp314-*"
        assert self.wheels()["environment"] == {"KIDOPROXY_COMPILE": "require"}

    def test_both_processors_and_both_c_libraries(self) -> None:
        """glibc as old as Debian 10's successors have it, and musl, on x86-64 and aarch64."""
        linux = self.wheels()["linux"]
        assert linux["archs"] == ["x86_64", "aarch64"]
        for arch in linux["archs"]:
            assert linux[f"manylinux-{arch}-image"] == "manylinux_2_28"
            assert linux[f"musllinux-{arch}-image"] == "musllinux_1_2"

    def test_cibuildwheel_agrees(self) -> None:
        """The program itself reads the table, and would build sixteen wheels."""
        asked = [sys.executable, "-m", "cibuildwheel", "--platform", "linux", "--archs", "x86_64,aarch64"]
        asked += ["--print-build-identifiers", str(ROOT)]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        names = done.stdout.split()
        assert len(names) == 16
        assert {name.partition("-")[0] for name in names} == {"cp311", "cp312", "cp313", "cp314"}


class TestExampleSite:
    """What the containers of deploy/example are made of; tests/live/test_example_site.py runs the site without them."""

    FOLDER: Final = DEPLOY / "example"

    def compose(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.FOLDER / "compose.yml").read_text(encoding="utf-8"))
        return found

    def test_every_node_of_the_file_is_a_service(self) -> None:
        """By its name, and no server is there for nobody."""
        config = load(self.FOLDER / "kidoproxy.toml", {})
        nodes = {node.address.host for pool in config.pools.values() for node in pool.nodes}
        services = self.compose()["services"]
        assert nodes == services.keys() - {"site", "worker", "proxy"}
        assert nodes == set(services["proxy"]["depends_on"])

    def test_the_site_finds_its_pools(self) -> None:
        """The variables that the settings read are those that compose sets, with the ports of the file."""
        config = load(self.FOLDER / "kidoproxy.toml", {})
        ports = {f"redis://proxy:{pool.listen[0].port}" for pool in config.pools.values()}
        environment = self.compose()["services"]["worker"]["environment"]
        assert set(environment.values()) == ports
        settings = (self.FOLDER / "shop/settings.py").read_text(encoding="utf-8")
        assert set(re.findall(r'environ\.get\("(\w+_URL)"', settings)) == environment.keys()

    def test_what_the_image_copies_is_there(self) -> None:
        """From the context that compose names."""
        copied = re.findall(r"(?m)^COPY (.*) \S+$", (self.FOLDER / "Dockerfile").read_text(encoding="utf-8"))
        assert (self.FOLDER / self.compose()["services"]["site"]["build"]["context"]).resolve() == ROOT
        assert [name for names in copied for name in names.split() if not Path(ROOT, name).exists()] == []
