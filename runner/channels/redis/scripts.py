"""What a Redis does at a stroke, and what its answers mean.

A message is the entry `OFFSET-TAG` of its channel's stream. The first offset of an epoch is the server's time in
microseconds, so that the offsets of a channel that begins anew are beyond all it had before. A tag is the server's time
in milliseconds and five digits by chance: so an entry says how old it is, and no two that ever had the same offset are
taken for each other - a Redis that comes back without its last second gives offsets away a second time. Of what the
history has dropped the last entry is kept, as a witness: who has seen that one, and not another one of its offset, has
missed nothing.

Tags stay text in Lua, whose numbers are doubles; an offset is less than 2**53.

Laws: pure. Nothing here needs a Redis newer than 5. Start at publish.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, NamedTuple

from runner.channels.message import OLDEST, Message, Page, Position, Reason
from runner.channels.redis import names

LIFE = 7 * 24 * 3600.0
"""Seconds without a message after which a channel is forgotten; then it begins anew."""
NAMED = 300.0
"""Seconds for which the name of a message is known."""
HEAVY = 1 << 20
"""Bytes of text after which a page ends: it is to be there within ANSWER seconds."""

_COMMON = """
local meta, stream = KEYS[1], KEYS[2]
local fresh, digits, most, age, life = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local micros = time[1] .. string.format('%06d', tonumber(time[2]))
local millis = string.sub(micros, 1, 13)
local tag = millis .. digits

local function text_of(number)
    return string.format('%.0f', number)
end

local function offset_of(id)
    return tonumber(string.match(id, '^%d+'))
end

local function entry(offset)
    return redis.call('XRANGE', stream, text_of(offset), text_of(offset), 'COUNT', 1)[1]
end

local function young(offset)
    local found = entry(offset)
    return found and tonumber(string.sub(string.match(found[1], '-(%d+)$'), 1, 13)) > tonumber(millis) - age
end

-- How many of the last messages are kept: `most`, and none that is too old. They are consecutive and ever younger.
local function kept(last)
    local high = math.min(most, redis.call('XLEN', stream))
    if high == 0 or young(last - high + 1) then
        return high
    end
    local low = 0
    while low + 1 < high do
        local middle = math.floor((low + high) / 2)
        if young(last - middle + 1) then low = middle else high = middle end
    end
    return low
end
"""

_PUBLISH = _COMMON + """
local name, text, bell, named = KEYS[3], ARGV[6], ARGV[7], ARGV[8]
local seen = redis.call('GET', name)
if seen then
    return seen
end
local known = redis.call('HMGET', meta, 'epoch', 'last')
local epoch, before = known[1], known[2]
local offset = before and offset_of(before)

local function begin_anew()
    redis.call('DEL', stream)
    epoch, offset, before = fresh, tonumber(micros), micros .. '-' .. tag
end

local function add()
    return redis.pcall('XADD', stream, text_of(offset + 1) .. '-' .. tag, 'epoch', epoch, 'text', text)
end

if not epoch or not offset then
    begin_anew()
end
local added = add()
if type(added) == 'table' and string.find(added.err, 'equal or smaller', 1, true) then
    -- The two keys do not fit any more: one was evicted, or restored from elsewhere.
    begin_anew()
    added = add()
end
if type(added) == 'table' then
    return added
end
offset = offset + 1
local position = epoch .. '.' .. text_of(offset) .. '.' .. tag
redis.call('SET', name, position, 'PX', named)
if redis.call('XLEN', stream) == 1 then
    redis.call('HSET', meta, 'begin', before)
end
redis.call('HMSET', meta, 'epoch', epoch, 'last', added)
redis.call('PEXPIRE', meta, life)
redis.call('PEXPIRE', stream, age)
local keep = kept(offset) + 1
if redis.call('XLEN', stream) > keep then
    redis.call('XTRIM', stream, 'MAXLEN', keep)
end
redis.call('PUBLISH', bell, position .. ' ' .. text)
return position
"""

_READ = _COMMON + """
local epoch, offset, tag_seen, limit, heavy = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local known = redis.call('HMGET', meta, 'epoch', 'begin', 'last')
if not known[1] or not known[2] or not known[3] then
    local here = micros .. '-' .. tag
    redis.call('DEL', stream)
    redis.call('HMSET', meta, 'epoch', fresh, 'begin', here, 'last', here)
    redis.call('PEXPIRE', meta, life)
    known = {fresh, here, here}
end
local after, last = offset .. '-' .. tag_seen, offset_of(known[3])

local function answer(reason, start)
    local found, weight, at = {}, 0, start or last
    while at < last and #found < limit and weight < heavy do
        local some = redis.call('XRANGE', stream, text_of(at + 1), '+', 'COUNT', math.min(limit - #found, 10))
        if #some == 0 then break end
        for _, each in ipairs(some) do
            found[#found + 1], weight, at = each, weight + #(each[2][4] or ''), offset_of(each[1])
        end
    end
    return {known[1], known[3], reason, at < last and 1 or 0, found}
end

if epoch == '?' or (epoch == known[1] and after == known[3]) then
    return answer('')
end
local count = kept(last)
local base = known[2]  -- what came before the first entry, unless some were dropped since
if offset_of(base) ~= last - count then
    if count > 0 and count == redis.call('XLEN', stream) then
        count = count - 1
    end
    local witness = entry(last - count)
    base = witness and witness[1] or (count == 0 and known[3] or '')
end
local start = last - count
if epoch == '' or (epoch == known[1] and after == base) then
    return answer('', start)
end
offset = tonumber(offset)
if epoch ~= known[1] then
    return answer('epoch')
elseif offset <= start then
    return answer('gap')
end
local same = offset <= last and entry(offset)
if not same or same[1] ~= after then
    return answer('unknown')
end
return answer('', offset)
"""


class Script(NamedTuple):
    """*source* in Lua, and by which name a server knows it."""

    source: str
    sha: str


class Limits(NamedTuple):
    """Of each channel *history* messages are kept, for *age* seconds."""

    history: int = 1000
    age: float = 300.0


class Call(NamedTuple):
    """One run of a script."""

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[str, ...]

    def short(self) -> tuple[str, ...]:
        """The command for a server that knows the script."""
        return ("EVALSHA", self.script.sha, str(len(self.keys)), *self.keys, *self.arguments)

    def long(self) -> tuple[str, ...]:
        """The command for one that does not."""
        return ("EVAL", self.script.source, str(len(self.keys)), *self.keys, *self.arguments)


def _script(source: str) -> Script:
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


_PUBLISHES, _READS = _script(_PUBLISH), _script(_READ)


def publish(limits: Limits, channel: str, text: str, id: str, db: int) -> Call:
    """Keep *text*, unless the name *id* is known, and tell it. The answer is for `position_of`."""
    keys = (names.meta(channel), names.stream(channel), names.name(channel, id))
    more = (text, names.bell(channel, db), str(int(NAMED * 1000)))
    return Call(_PUBLISHES, keys, (*_common(limits), *more))


def read(limits: Limits, channel: str, after: Position | None, limit: int) -> Call:
    """What came after a position; None: only where the channel stands. The answer is for `page_of`."""
    place = ("?", "0", "0") if after is None else (after.epoch, str(after.offset), str(after.tag))
    keys = (names.meta(channel), names.stream(channel))
    return Call(_READS, keys, (*_common(limits), *place, str(limit), str(HEAVY)))


def _common(limits: Limits) -> tuple[str, ...]:
    digits = f"{secrets.randbelow(100_000):05d}"
    return secrets.token_hex(8), digits, str(limits.history), str(int(limits.age * 1000)), str(int(LIFE * 1000))


def position_of(answer: bytes) -> Position:
    """Where a message stands, or stood the first time. Raises ValueError."""
    epoch, offset, tag = answer.decode("ascii").split(".")
    return Position(epoch, int(offset), int(tag))


def stands(epoch: bytes, last: bytes) -> Position:
    """What a channel's meta says. Raises ValueError."""
    offset, tag = last.split(b"-")
    return Position(epoch.decode("ascii"), int(offset), int(tag))


def page_of(channel: str, after: Position | None, answer: Any) -> Page:
    """What came after a position. What nobody here has written is in no page: then it cannot be said what came."""
    epoch, last, reason, more, entries = answer
    end = stands(epoch, last)
    if reason:
        return Page([], end, resync=Reason(reason.decode()))
    try:
        messages = [_message(channel, *entry) for entry in entries]
    except (ValueError, LookupError):
        return Page([], end, resync=Reason.UNKNOWN)
    if not _consecutive(messages, end.epoch, after):
        return Page([], end, resync=Reason.UNKNOWN)
    return Page(messages, messages[-1].position if messages else end, more=bool(more))


def rung(channel: str, told: bytes) -> Message:
    """What was told of a new message. Raises ValueError."""
    position, _, text = told.partition(b" ")
    return Message(channel, text.decode(), position_of(position))


def _message(channel: str, id: bytes, fields: list[bytes]) -> Message:
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    return Message(channel, found[b"text"].decode(), stands(found[b"epoch"], id))


def _consecutive(messages: list[Message], epoch: str, after: Position | None) -> bool:
    if not messages:
        return True
    first = messages[0].position.offset if after is None or after == OLDEST else after.offset + 1
    places = [(message.position.epoch, message.position.offset) for message in messages]
    return places == [(epoch, first + number) for number in range(len(messages))]
