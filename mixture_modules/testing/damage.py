"""Damage to the bytes of a file, at random; for tests."""

import re


def mutate(original, rng):
  """Other bytes, by random changes of some kinds."""
  data = original
  while data == original or rng.integers(2):
    # Half of the changes are to the header, a small part of the file.
    end = len(data) if rng.integers(2) else data.rfind(b'}') + 1
    first, last = sorted(int(n) for n in rng.integers(0, max(end, 1), 2))
    last = min(last, first + int(rng.integers(1, 40)))
    piece = data[first:last]
    kind = rng.integers(8)
    if kind == 0:
      flipped = piece[:1] and bytes([piece[0] ^ 1 << rng.integers(8)])
      data = data[:first] + flipped + data[first + 1:]
    elif kind == 1:
      data = data[:first] + rng.bytes(last - first) + data[last:]
    elif kind == 2:
      data = data[:first] + data[last:]
    elif kind == 3:
      data = data[:first] + piece + piece + data[last:]
    elif kind == 4:
      data = data[:first] + bytes(last - first) + data[last:]
    elif kind == 5:
      data = data[:first]
    elif kind == 6:
      data = data[:first] + rng.bytes(last - first) + data[first:]
    else:
      digit = str(rng.integers(10)).encode()
      data = data[:first] + re.sub(rb'\d', digit, piece) + data[last:]
  return data
