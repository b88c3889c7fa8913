"""What a script really calls: run by Lua 5.1 itself, if installed, with a ``redis`` that only records the calls."""

import shutil
import subprocess
from typing import Final

#: Runs the text that stands on its standard input, and prints each call of redis.call and redis.pcall.
_RUN: Final = """
local text = io.read('*a')
local out = io.write
local function call(name, ...)
  out('CALL')
  for _, arg in ipairs({name, ...}) do out(' ', (tostring(arg):gsub('[^%w:{}_?*-]', '.'))) end
  out('\\n')
  return 'reply'
end
redis = {call = call, pcall = call, sha1hex = function(s) return s end, log = function() end, LOG_NOTICE = 2}
server = redis
KEYS = {'k1', 'k2'}
ARGV = {'a1', 'a2', 'a3'}
local run = loadstring(text)
if run then pcall(run) end
"""


def has_lua() -> bool:
    """Whether there is a Lua to ask."""
    return shutil.which("lua5.1") is not None


def called(text: bytes) -> list[list[str]]:
    """The calls, each as its words in the order of the text; none when the text does not even load."""
    run = subprocess.run(["lua5.1", "-e", _RUN], input=text, capture_output=True, check=False, timeout=20)
    lines = run.stdout.decode("latin-1").splitlines()
    return [line.split()[1:] for line in lines if line.startswith("CALL")]
