"""Files that are small and announce, or expand to, gigabytes; read in this process, which has little memory.

Prints a line for each: its name, seconds, how it ended. test_readers.py runs this.
"""

import gzip
import resource
import struct
import sys
import tarfile
import time
import zlib
from pathlib import Path

import numpy as np

from npticket.datasets import packed
from npticket.datasets.mnist import read_idx
from npticket.reading import read_bytes, read_npz

ROOM = 400 << 20  # bytes that a process may take beyond what it has once all is imported
ZEROS = bytes(16 << 20)


def deflated():
    """4 GB of zeros in 4 MB, without the header of a zip member."""
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * 256 + zlib.compressobj(wbits=-15).flush()


def zipped(name, content, announced, checksum=0):
    """A zip archive of one deflated member, whose headers announce so many bytes."""
    name, common = name.encode(), struct.pack("<HHHIIIHH", 8, 0, 0, checksum, len(content), announced, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HH", 20, 0) + common + name
    central = b"PK\x01\x02" + struct.pack("<HHH", 20, 20, 0) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    start = len(local) + len(content)
    return local + content + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), start, 0)


def sparse_tar(name):
    """A GNU-sparse member of 3 GB, all of it a hole."""
    (info := tarfile.TarInfo(name)).type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410], header[483:495] = b"%011o\0%011o\0" % (3 << 30, 0), b"%011o\0" % (3 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(1024))


def tar_of(size):
    """The header of a member that announces so many bytes, and 4 GB of zeros."""
    (info := tarfile.TarInfo("other")).size = size
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT)) + gzip.compress(ZEROS) * 256


def npy(header):
    header = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npz(path, content):
    path.write_bytes(zipped("masks.npy", zlib.compress(content, wbits=-15), len(content), zlib.crc32(content)))


def main(folder):
    names = {"a": 700, "cut": 700}
    dims = bytes([0, 0, 8, 3]) + (2**31).to_bytes(4, "big") * 3
    contents = {
        "idx": dims, "idx.gz": gzip.compress(dims[:4] + bytes([0, 0, 0, 5]) * 3) + gzip.compress(ZEROS) * 256,
        "sparse.tar.gz": sparse_tar("a"), "other.tar.gz": tar_of(7 << 30), "small.tar.gz": tar_of(10),
        "lies.npz": zipped("masks.npy", deflated(), 100), "large.npz": zipped("masks.npy", deflated(), 0xF0000000),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    announced = "{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}\n".format
    headers = "{", "", announced("<f4", 2**70), announced("<f4", 10**12), announced("|O", 1), "(" * 900 + "\n"
    for i, header in enumerate(headers):
        npz(folder / f"header{i}.npz", npy(header))
    npz(folder / "empty.npz", b"")
    with open(folder / "long", "wb") as file:
        file.truncate(5 << 30)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 1 << 18
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,) * 2)
    for path in sorted(folder.iterdir()):
        began = time.process_time()
        try:
            if path.name.startswith("idx"):
                read_idx(path, (5, 5, 5))
            elif path.name.endswith(".tar.gz"):
                packed.members(path, names)
            elif path.suffix == ".npz":
                read_npz(path, {"masks": 1000, "end": 8 << 20})  # so that the files themselves may be large
            else:
                read_bytes(path, 1000)
            ended = "accepted"
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
        print(path.name, f"{time.process_time() - began:.2f}", ended)
    try:
        np.ones(2 * ROOM // 8)
        print("the-limit 0 accepted: it is none")
    except MemoryError:
        print("the-limit 0 MemoryError: holds")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
