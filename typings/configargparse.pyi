# The part of ConfigArgParse that is used here. Importing it also teaches every
# argparse.add_argument() the keywords env_var and is_config_file.
import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

class ConfigFileParserException(Exception): ...

class ConfigFileParser:
    def parse(self, stream: TextIO) -> Mapping[str, str | list[str]]: ...

class DefaultConfigFileParser(ConfigFileParser): ...

class ArgumentParser(argparse.ArgumentParser):
    def __init__(
        self,
        *,
        prog: str,
        usage: str,
        description: str,
        epilog: str,
        formatter_class: Callable[[str], argparse.HelpFormatter],
        allow_abbrev: bool,
        add_config_file_help: bool,
        add_env_var_help: bool,
        config_file_parser_class: ConfigFileParser,
        config_file_open_func: Callable[[str], TextIO],
    ) -> None: ...
    def parse_args(  # type: ignore[override]
        self, args: Sequence[str], *, env_vars: Mapping[str, str]
    ) -> argparse.Namespace: ...
    def get_source_to_settings_dict(
        self,
    ) -> Mapping[str, Mapping[str, tuple[argparse.Action | None, str]]]: ...
