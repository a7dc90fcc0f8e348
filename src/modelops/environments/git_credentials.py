"""Logins at hosts of Git repositories, for packages such as `name @ git+https://host/…`."""

from urllib.parse import unquote, urlsplit

from modelops.core.errors import SecretError

CREDENTIALS_VARIABLE = "MODELOPS_GIT_CREDENTIALS"
"""Lines such as `https://user:token@host`, as `git credential-store` has them."""

# Git runs it through a shell, whose arguments everyone on the machine can see: so it names
# variables, and `echo` is the shell's own.
_HELPER = '!f() {{ test "$1" = get && echo "username=${user}" && echo "password=${token}"; }}; f'


def git_variables(credentials: str) -> dict[str, str]:
    """Return the variables that make Git log in: settings for this process tree only.

    A host gets its own login and no other; nothing is written to a file (git-config(1),
    GIT_CONFIG_COUNT; gitcredentials(7)).

    Raises:
        SecretError: if a line isn't a login; the line isn't in the message.
    """
    settings: list[tuple[str, str]] = []
    variables = {}
    for number, line in enumerate(credentials.split()):
        try:
            url = urlsplit(line)
            host = url.hostname and (f"{url.hostname}:{url.port}" if url.port else url.hostname)
        except ValueError:
            host = None
        if not host or not url.password or url.scheme not in ("http", "https"):
            raise SecretError(
                f"Line {number + 1} of {CREDENTIALS_VARIABLE} isn't a login.",
                hint="Write each line as https://USER:TOKEN@HOST",
            )
        # The name of the second says what it is, so that it is hidden.
        user, token = f"MODELOPS_GIT_USER_{number}", f"MODELOPS_GIT_TOKEN_{number}"
        variables[user] = unquote(url.username or "")
        variables[token] = unquote(url.password)
        place = f"credential.{url.scheme}://{host}.helper"
        # The empty one first: helpers of the user's own would store the token.
        settings += [(place, ""), (place, _HELPER.format(user=user, token=token))]
    if not settings:
        return {}
    for number, (name, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**variables, "GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
