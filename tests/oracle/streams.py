"""Random numbers of nexus, written from docs/numerics.md: Philox4x32-10 under a key from seed and name.

XXH3 is taken from the system's libxxhash: it is a published hash, and not what is on trial here.
"""
import ctypes
import ctypes.util

import numpy as np

LOW = np.uint64(0xFFFFFFFF)


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def load_xxhash():
    """The library, or None where it is not installed."""
    name = ctypes.util.find_library("xxhash")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.XXH3_64bits_withSeed.restype = ctypes.c_uint64
    library.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    library.XXH3_128bits.restype = Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


xxhash = load_xxhash()


def digest(data):
    """XXH3-128 as checkpoints write it: 32 hexadecimal digits, the high half first."""
    value = xxhash.XXH3_128bits(data, len(data))
    return f"{value.high:016x}{value.low:016x}"


def philox(counter, key):
    """Ten rounds over four arrays of 32-bit words (held in uint64), under a key of two integers."""
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    k0, k1 = key
    for _ in range(10):
        left, right = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [right >> np.uint64(32) ^ c[1] ^ np.uint64(k0), right & LOW,
             left >> np.uint64(32) ^ c[3] ^ np.uint64(k1), left & LOW]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def unit(high, low):
    """53 of 64 bits as a number in [0, 1)."""
    return ((high << np.uint64(32) | low) >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


class Stream:
    def __init__(self, seed, name):
        key = xxhash.XXH3_64bits_withSeed(name.encode(), len(name.encode()), seed)
        self.key = key & 0xFFFFFFFF, key >> 32
        self.salt = (seed ^ seed >> 32) & 0xFFFFFFFF

    def words(self, counter, lane):
        counter = np.asarray(counter, dtype=np.uint64)
        zero = np.zeros_like(counter)
        return philox([counter & LOW, counter >> np.uint64(32), zero + np.uint64(self.salt), zero + np.uint64(lane)],
                      self.key)

    def bits(self, index):
        words = self.words(index, 0)
        return words[1] << np.uint64(32) | words[0]

    def normal(self, index):
        """Standard normals of the given indices, by Box and Muller: an even index and the next share a block."""
        index = np.asarray(index, dtype=np.uint64)
        words = self.words(index >> np.uint64(1), 1)
        radius = np.sqrt(-2.0 * np.log(1.0 - unit(words[0], words[1])))
        angle = 2.0 * np.pi * unit(words[2], words[3])
        return radius * np.where(index & np.uint64(1), np.sin(angle), np.cos(angle))


class Permutation:
    """A bijection of [0, size): four Feistel rounds over twice `half` bits, repeated until the value is inside."""

    def __init__(self, size, seed, name):
        self.size = size
        self.half = max(1, ((size - 1).bit_length() + 1) // 2)
        self.stream = Stream(seed, name)

    def at(self, index):
        mask = (1 << self.half) - 1
        while True:
            left, right = index >> self.half, index & mask
            for round_number in range(4):
                mixed = left ^ int(self.stream.bits(round_number << 62 | right)) & mask
                left, right = right, mixed
            index = left << self.half | right
            if index < self.size:
                return index
