"""Proves that check_layering sees each kind of violation: a small sound tree passes, and one planted fault is named."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent / "check_layering"

SOUND = {
    "src/core/error.h": "// Errors.\n#pragma once\n#include <string>\n",
    "src/tensor/tensor.h": '// Tensors.\n#pragma once\n#include "core/error.h"\n#include "tensor/dtype.h"\n',
    "src/tensor/dtype.h": "// Types.\n#pragma once\n",
    "src/comm/mpi.cpp": '#include <mpi.h>\n#include "tensor/tensor.h"\n',
    "src/backend/cpu/gemm.cpp": "#include <cblas.h>\n#include <oneapi/dnnl/dnnl.hpp>\n",
    "cuda/gemm.cu": '#include <cuda_runtime.h>\n#include <cublasLt.h>\n#include "backend/backend.h"\n',
}


def check(**planted):
    """Runs the script on the sound tree with `planted` files (path: text) added: (exit status, output)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **planted}.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        run = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout


class CheckLayering(unittest.TestCase):
    def refuses(self, path, text, expected):
        status, output = check(**{path: text})
        self.assertEqual(status, 1, output)
        self.assertIn(expected, output)
        self.assertIn("1 violations", output)

    def test_passes_a_sound_tree(self):
        self.assertEqual(check(), (0, "6 files, 0 violations\n"))

    def test_refuses_an_include_of_a_higher_floor(self):
        self.refuses("src/core/bad.cpp", '\n#include "tensor/tensor.h"\n',
                     'src/core/bad.cpp:2: core (floor 0) may not include "tensor/tensor.h" (floor 1)')

    def test_refuses_an_include_of_an_equal_floor(self):
        self.refuses("src/data/bad.cpp", '#include "comm/communicator.h"\n', "data (floor 2) may not include")

    def test_refuses_an_include_without_a_module(self):
        self.refuses("src/core/bad.cpp", '#include "error.h"\n', "names no module")

    def test_refuses_an_unknown_module(self):
        self.refuses("src/core/bad.cpp", '#include "util/error.h"\n', "is of no known module")

    def test_refuses_a_file_of_an_unknown_module(self):
        self.refuses("src/util/bad.cpp", "\n", "module util has no floor")

    def test_refuses_each_library_outside_its_owner(self):
        for header in ["mpi.h", "nccl.h", "yaml-cpp/yaml.h", "hdf5.h", "cblas.h", "dnnl.hpp", "oneapi/dnnl/dnnl.hpp",
                       "cuda_runtime.h", "cuda.h", "cudnn.h", "sentencepiece_processor.h", "pcre2.h", "utf8proc.h",
                       "CLI/CLI.hpp"]:
            with self.subTest(header):
                self.refuses("src/model/bad.cpp", f"#include <{header}>\n", f"<{header}> belongs to ")

    def test_refuses_a_library_in_quotes_too(self):
        status, output = check(**{"src/model/bad.cpp": '#include "CLI/CLI.hpp"\n'})
        self.assertEqual(status, 1)
        self.assertIn("<CLI/CLI.hpp> belongs to src/cli only", output)

    def test_refuses_a_long_file(self):
        self.refuses("src/core/long.cpp", "\n" * 601, "src/core/long.cpp:601: 601 lines")
        self.assertEqual(check(**{"src/core/long.cpp": "\n" * 600})[0], 0)

    def test_refuses_a_header_without_guard_or_comment(self):
        self.refuses("src/core/bad.h", "// Purpose.\n", "#pragma once is missing")
        self.refuses("src/core/bad.h", "#pragma once\n", "starts with a comment")

    def test_refuses_json_text_that_throws_where_a_name_is_not_utf8(self):
        self.refuses("src/data/bad.cpp", "\nwrite(json.dump(2));\n", "src/data/bad.cpp:2: dump() throws")
        self.refuses("src/data/bad.cpp", "write(json->dump());\n", "use json_text")
        header = "// JSON as text.\n#pragma once\nreturn json.dump(indent);\n"
        self.assertEqual(check(**{"src/core/json_text.cpp": header})[0], 0)

    def test_fails_where_there_are_no_sources(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    unittest.main()
