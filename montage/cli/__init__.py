"""The command line: ``montage COMMAND``. Only here is anything printed, caught or turned into an exit code.

Exit codes: 0 done; 1 failed (a check, a model, the machine); 2 bad input (a script, a file, an option).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from montage.cli.commands import cli

__all__ = ["main"]

FAILED = 1
BAD_INPUT = 2


def _exit_code(error: Exception) -> int:
    from generate.base import GenerationError
    from index.base import FootageError, StorageError
    from montage.values import FilmError, MontageError

    if isinstance(error, (FilmError, GenerationError, StorageError)):
        return FAILED
    return BAD_INPUT if isinstance(error, (FootageError, MontageError)) else FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; one message on standard error when it fails."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # Without its standalone mode click gives back the code of an Exit, and None from a command.
        code = cli.main(args=arguments, prog_name="montage", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("montage: stopped; what was finished is kept", err=True)
        return FAILED
    except BrokenPipeError:
        # The reader went away (``montage search ... | head``): nothing is wrong.
        sys.stderr.close()
        return 0
    except Exception as error:
        from generate.base import GenerationError
        from index.base import FootageError
        from montage.values import MontageError

        ours = isinstance(error, (FootageError, GenerationError, MontageError))
        if not ours and {"-v", "--verbose"} & set(arguments):
            raise
        text = str(error) if ours or isinstance(error, OSError) else f"unexpected {error!r}; -v shows where"
        click.echo(f"montage: {text}", err=True)
        return _exit_code(error)
    return code if isinstance(code, int) else 0
