"""The configuration folder: its files, its hash, its options. Faults in files: test_validate.py."""

import json
from pathlib import Path

import pytest

from shards.config.config_files import config_files, kind_of
from shards.config.config_folder import engine_options, load_config
from shards.config.problem import MAX_LISTED
from shards.errors import PathError
from shards.settings.settings import Settings
from tests.support.serving import counting_directive, write_config


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_config(tmp_path, map(counting_directive, (1, 2)))
    return Settings(config_dir=tmp_path / "conf")


def test_a_valid_folder_gives_its_configuration(settings: Settings) -> None:
    config, problems = load_config(settings)
    assert config is not None
    assert problems.listed == []
    assert [directive.id for directive in config.directives] == [1, 2]
    assert config.assets
    assert config.rejected == 0


def test_the_hash_changes_with_any_file_and_its_name(settings: Settings) -> None:
    def hash_now() -> str:
        config, _ = load_config(settings)
        assert config is not None
        return config.hash

    [file] = config_files(settings.config_dir)["directives"]
    first = hash_now()
    assert hash_now() == first
    file.write_bytes(file.read_bytes() + b"\n")
    second = hash_now()
    file.rename(file.with_name("directives_renamed.json"))
    assert len({first, second, hash_now()}) == 3


def test_a_fault_leaves_no_configuration(settings: Settings) -> None:
    (settings.config_dir / "directives_faulty.json").write_text('{"directives": [{}]}')
    config, problems = load_config(settings)
    assert config is None
    assert any(not problem.finding.warning for problem in problems.listed)


def test_of_two_directives_with_one_id_the_second_is_a_fault_that_names_the_first(
    settings: Settings,
) -> None:
    [file] = config_files(settings.config_dir)["directives"]
    (settings.config_dir / "directives_zz.json").write_bytes(file.read_bytes())
    config, problems = load_config(settings)
    assert config is None
    assert {problem.finding.code for problem in problems.listed} == {"duplicate-id"}
    assert all(str(file) in problem.finding.message for problem in problems.listed)


def test_lenient_it_is_left_out_and_counted(settings: Settings) -> None:
    [file] = config_files(settings.config_dir)["directives"]
    (settings.config_dir / "directives_zz.json").write_bytes(file.read_bytes())
    config, problems = load_config(
        Settings(config_dir=settings.config_dir, lenient_directives=True)
    )
    assert config is not None
    assert (len(config.directives), config.rejected, len(problems)) == (2, 2, 2)


def test_a_faulty_lookup_source_is_left_out_unless_strict(settings: Settings) -> None:
    config = '{"url": "http://127.0.0.1:1/${ip}"}'
    good = {"name": "good", "plugin": "Wise", "enabled": True, "config": config}
    sources = [good | {"name": "bad", "plugin": "Wsie"}, good]
    (settings.config_dir / "intel_x.json").write_text(json.dumps({"intel_sources": sources}))
    loaded, problems = load_config(settings)
    assert loaded is not None
    assert [source.name for source in loaded.sources] == ["good"]
    assert [problem.finding.code for problem in problems.listed] == ["unknown-plugin"]
    strict = Settings(config_dir=settings.config_dir, strict_lookups=True)
    assert load_config(strict)[0] is None


def test_warnings_about_a_document_reject_no_directive(settings: Settings) -> None:
    """`rejected` counts directives, and the finding is about the file that holds them."""
    [file] = config_files(settings.config_dir)["directives"]
    file.write_text(file.read_text().replace('{"directives"', '{"owner": 1, "directives"', 1))
    config, problems = load_config(settings)
    assert config is not None
    assert (config.rejected, [one.finding.field for one in problems.listed]) == (0, ["owner"])


def test_of_many_problems_the_first_are_kept_and_all_are_counted(settings: Settings) -> None:
    """Faults come before warnings: they are why it does not start."""
    high = {"name": "a", "cidr": "10.0.0.0/8", "value": 9}
    many = {"assets": [high] * (2 * MAX_LISTED)}
    (settings.config_dir / "assets_many.json").write_text(json.dumps(many))
    faulty = settings.config_dir / "directives_faulty.json"
    faulty.write_text('{"directives": [' + ",".join(["{}"] * 100) + "]}")
    config, problems = load_config(settings)
    assert config is None
    assert (problems.faults, problems.warnings) == (600, 2 * MAX_LISTED)
    assert len(problems.listed) == MAX_LISTED
    assert sum(not problem.finding.warning for problem in problems.listed) == 600
    assert problems.listed[0].finding.warning
    assert problems.unlisted.startswith("1600 more problems are not listed")


def test_a_missing_an_empty_and_a_false_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="is missing"):
        load_config(Settings(config_dir=tmp_path / "none"))
    with pytest.raises(PathError, match="holds no config, must hold assets_"):
        load_config(Settings(config_dir=tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="is not a folder"):
        load_config(Settings(config_dir=tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("assets_x.json", b"{}", "assets"),
        ("any.json", b'{"vuln_sources": []}', "vuln"),
        ("any.json", b"not JSON", "directives"),
        ("any.json", b"{}", None),
    ],
)
def test_the_kind_of_a_file(name: str, data: bytes, kind: str | None) -> None:
    assert kind_of(Path(name), data) == kind


def test_the_lifetime_of_alarms_is_set_in_minutes() -> None:
    assert engine_options(Settings(min_alarm_lifetime=3)).min_alarm_lifetime == 180
