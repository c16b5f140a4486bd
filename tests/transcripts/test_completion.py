"""The completion scripts, sourced by real shells and asked at every place of the tree of commands."""

import re
import shutil
import subprocess

import pytest
from test_cli import verbs_of


def script(machine, shell):
    file = machine.folder / f"completion.{shell}"
    file.write_text(machine.run("completion", shell).stdout)
    return file


def ask_bash(machine, questions):
    """What bash offers for each list of words, the last of which is being typed."""
    lines = [f"source {script(machine, 'bash')}", "ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _ybis; echo \"${COMPREPLY[*]}\"; }"]
    for words in questions:
        lines.append("ask ybis " + " ".join(f"'{word}'" for word in words))
    result = subprocess.run(["bash", "--norc", "-eu"], input="\n".join(lines), capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return [set(line.split()) for line in result.stdout.split("\n")[:-1]]


def ask_fish(machine, questions):
    lines = [f"source {script(machine, 'fish')}"]
    for words in questions:
        lines += [f"complete -C '{' '.join(['ybis', *words])}'", "echo ---"]
    result = subprocess.run(["fish", "--no-config"], input="\n".join(lines), capture_output=True, text=True, timeout=300,
                            env={"HOME": str(machine.folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    assert result.returncode == 0, result.stderr
    return [{line.split("\t")[0] for line in answer.splitlines() if line} for answer in result.stdout.split("---\n")[:-1]]


def tree(machine):
    """(path, subcommands, flags, choices of flags) of every place, read from --help."""
    for path, text in verbs_of(machine):
        listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
        names = set(re.findall(r"^  (\S+)", listed.group(1), re.MULTILINE)) if listed else set()
        flags = set(re.findall(r"^  (--?[\w-]+)", text, re.MULTILINE)) | set(re.findall(r"^  -\w,(--[\w-]+)", text, re.MULTILINE))
        choices = {flag: set(values.split(",")) for flag, values in
                   re.findall(r"^  (?:-\w,)?(--[\w-]+) \w+:\{([^}]*)\}", text, re.MULTILINE)}
        yield list(path), names, flags, choices


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_offers_every_command_flag_and_choice(machine, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    places = list(tree(machine))
    questions, wanted = [], []
    for path, names, flags, choices in places:
        if names:
            questions.append([*path, ""])
            wanted.append(names)
        questions.append([*path, "-" if shell == "bash" else "--"])
        wanted.append({flag for flag in flags if shell == "bash" or flag.startswith("--")})
        for flag, values in choices.items():
            questions.append([*path, flag, ""])
            wanted.append(values)
    assert sum(len(choices) for *_, choices in places) > 20
    answers = (ask_bash if shell == "bash" else ask_fish)(machine, questions)
    for question, got, want in zip(questions, answers, wanted, strict=True):
        assert got >= want and (shell != "bash" or got == want), (question, got ^ want)


def test_bash_completes_what_was_begun(machine):
    questions = [["ta"], ["task", "li"], ["task", "list", "--st"], ["task", "list", "--status", "C"], ["task", "list", "-o", "j"],
                 ["task", "list", "--output", "=", "j"], ["task", "list", "--output", "="], ["task", "list", "--limit", "3", "--so"],
                 ["completion", ""], ["nonsense", ""]]
    answers = ask_bash(machine, questions)
    assert answers[:4] == [{"task"}, {"list"}, {"--status"}, {"Completed", "Cancelled"}]
    assert answers[4] == answers[5] == {"json"}
    assert answers[6] == {"table", "wide", "json", "yaml", "name"}
    assert answers[7] == {"--sort"}
    assert answers[8] == {"bash", "zsh", "fish"}


def test_zsh_completes_in_a_terminal(machine):
    """Typed into a zsh on a pseudo terminal, as nothing else calls its completion."""
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    driver = machine.folder / "driver.zsh"
    # Each question waits for its answer, however busy the machine is: the list is drawn when nothing more is typed.
    driver.write_text(f"""
zmodload zsh/zpty
zpty -b z zsh -f -i
ask() {{
  local typed=$1 word= line= all= missing=
  shift
  zpty -w -n z "$typed"
  for _ in {{1..300}}; do
    while zpty -r -t z line; do all+=$line; done
    missing=
    for word; do [[ $all == *$word* ]] || missing=1; done
    [[ -n $missing ]] || break
    sleep 0.1
  done
  print -r -- "ANSWER $typed :: ${{all//[$'\r\n\t']/ }}" | tr -d '\t\025'
}}
ask $'PS1=; autoload -U compinit; compinit -u -D; zstyle ":completion:*" list-colors ""; source {script(machine, 'zsh')}; print RE""ADY\n' READY
ask $'ybis task \t' create list status
ask $'\x15ybis task list --so\t' --sort
ask $'\x15ybis task list -o \t' table wide json yaml name
ask $'\x15ybis completion \t' bash zsh fish
zpty -d z
""")
    result = subprocess.run(["zsh", "-f", str(driver)], capture_output=True, text=True, timeout=180, errors="replace",
                            env={"HOME": str(machine.folder), "PATH": "/usr/bin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8"})
    answers = dict(re.findall(r"^ANSWER (.*?) :: (.*)$", result.stdout, re.MULTILINE))
    assert len(answers) == 4, result.stdout + result.stderr
    assert all(word in answers["ybis task "] for word in ["create", "list", "status"]), answers
    assert "--sort" in answers["ybis task list --so"], answers
    assert all(word in answers["ybis task list -o "] for word in ["table", "wide", "json", "yaml", "name"]), answers
    assert all(word in answers["ybis completion "] for word in ["bash", "zsh", "fish"]), answers
