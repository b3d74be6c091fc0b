# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""torch.cuda for a CPU build of torch: see fake_torch_cuda.cpp, where the tensors are.

`install` builds that file and puts in place what torch.cuda looks for in a build with CUDA.  The
rest of torch.cuda is torch's own.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_suffix(".cpp")
GPU_NAME = "an emulation on the host"


def library(folder: Path) -> Path:
    """The compiled fake_torch_cuda.cpp; built where it is not there or of another source.

    torch is not imported: its CUDA hooks are looked up once, when it is, and must be there.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("torch is not installed")
    home = Path(spec.submodule_search_locations[0])
    text = SOURCE.read_bytes() + importlib.metadata.version("torch").encode()
    made = folder / f"fake_torch_cuda.{hashlib.sha256(text).hexdigest()[:12]}.so"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(f".{os.getpid()}.tmp")
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-O1", "-fPIC", "-shared", str(SOURCE)]
    command += [f"-I{home / 'include'}", f"-I{home / 'include/torch/csrc/api/include'}"]
    command += ["-o", str(part), f"-L{home / 'lib'}", f"-Wl,-rpath,{home / 'lib'}"]
    command += ["-ltorch", "-ltorch_cpu", "-lc10", "-ldl"]
    print(f"compiling {SOURCE.name}, half a minute", file=sys.stderr, flush=True)
    subprocess.run(command, check=True)
    for old in folder.glob("fake_torch_cuda.*.so"):
        old.unlink()
    part.replace(made)
    return made


class Runtime:
    """The functions of fake_torch_cuda.cpp."""

    def __init__(self, path: Path) -> None:
        self.c = c = ctypes.CDLL(str(path))
        long, number = ctypes.c_int64, ctypes.c_int
        c.em_attach.argtypes = [ctypes.c_char_p, number, long, number]
        for name in (
            *("current_stream", "new_stream", "handle", "memory", "capture_end"),
            "waited_for",
        ):
            getattr(c, f"em_{name}").restype = long
        for name in ("set_stream", "hold", "is_held", "synchronize", "capture_begin", "capturing"):
            getattr(c, f"em_{name}").argtypes = [number, long]
        c.em_waited_for.argtypes = [number, long]
        c.em_handle.argtypes = c.em_drop_graph.argtypes = [long]
        c.em_replay.argtypes = [long, number, long]


def install(
    folder: Path, core: Path, *, devices: int = 1, memory: int = 8 << 30, late: bool = False
) -> Runtime:
    """Give torch so many CUDA devices of so many bytes each, all in the memory of the host.

    ``core`` is the emulated _core, whose runtime keeps the streams; with ``late`` all work waits
    until somebody waits for it.
    """
    if "torch" in sys.modules:
        raise RuntimeError("torch must not be imported before its CUDA devices are there")
    runtime = Runtime(library(folder))
    c = runtime.c
    import torch
    import torch._dynamo  # it makes tables of what torch has; so before more is there

    if torch.version.cuda is not None:
        raise RuntimeError("a CPU build of torch is needed, this one has CUDA")
    if c.em_attach(str(core).encode(), devices, memory, late):
        raise RuntimeError(f"{core} has no emulated CUDA runtime")
    atexit.register(c.em_close)
    c.em_register()
    torch.cuda._initialized = True
    torch.cuda._queued_calls.clear()

    def checked(index: int) -> int:
        if not 0 <= index < devices:
            raise RuntimeError("CUDA error: invalid device ordinal")
        return index

    def set_device(index: int) -> None:
        c.em_set_device(checked(index))

    def exchange(index: int) -> int:
        before = c.em_get_device()
        if index >= 0:
            set_device(index)
        return before

    def stream_of(index: int) -> tuple[int, int, int]:
        index = c.em_get_device() if index is None or index < 0 else checked(index)
        return c.em_current_stream(index), index, 1

    def default_of(index: int) -> tuple[int, int, int]:
        return 0, c.em_get_device() if index < 0 else checked(index), 1

    def set_stream(stream_id: int, device_index: int, device_type: int) -> None:
        set_device(device_index)
        c.em_set_stream(device_index, stream_id)

    def synchronize() -> None:
        _checked(c.em_synchronize(c.em_get_device(), -1))

    def stats(index: int) -> dict[str, Any]:
        now, peak = (c.em_memory(checked(index), k) for k in (0, 1))
        both = {"current": now, "peak": peak, "allocated": now, "freed": 0}
        return {"allocated_bytes": {"all": both}, "reserved_bytes": {"all": both}, "num_ooms": 0}

    class Properties:
        def __init__(self, index: int) -> None:
            self.name = GPU_NAME
            self.major, self.minor = 9, 0
            self.total_memory = memory
            self.multi_processor_count = 4
            self.L2_cache_size = 1 << 16
            self.index = checked(index)

    functions: dict[str, Any] = {
        "_cuda_getDeviceCount": lambda: devices,
        "_cuda_init": lambda: None,
        "_cuda_getDevice": c.em_get_device,
        "_cuda_setDevice": set_device,
        "_cuda_exchangeDevice": exchange,
        "_cuda_maybeExchangeDevice": exchange,
        "_cuda_getCurrentStream": stream_of,
        "_cuda_getDefaultStream": default_of,
        "_cuda_getCurrentRawStream": lambda index: c.em_handle(stream_of(index)[0]),
        "_cuda_getStreamFromExternal": lambda handle, index: (_number_of(handle), index, 1),
        "_cuda_setStream": set_stream,
        "_cuda_synchronize": synchronize,
        "_cuda_emptyCache": lambda: None,
        "_host_emptyCache": lambda: None,
        "_cuda_memoryStats": stats,
        "_cuda_resetPeakMemoryStats": lambda index: c.em_reset_peak(checked(index)),
        "_cuda_resetAccumulatedMemoryStats": lambda index: None,
        "_cuda_getArchFlags": lambda: "sm_90",
        "_cuda_sleep": lambda cycles: c.em_hold(*stream_of(-1)[1::-1]),
        "_cuda_isInBadFork": lambda: False,
        "_cuda_get_sync_debug_mode": lambda: 0,
        "_cuda_set_sync_debug_mode": lambda mode: None,
    }
    for name, function in functions.items():
        setattr(torch._C, name, function)

    class Cudart:
        @staticmethod
        def cudaMemGetInfo(index: int) -> tuple[int, int]:
            return memory - c.em_memory(checked(index), 0), memory

    c.em_give_defaults(1)
    torch.cuda.default_generators = tuple(
        torch.Generator(device=f"cuda:{index}") for index in range(devices)
    )
    c.em_give_defaults(0)
    torch.cuda._exchange_device = exchange
    torch.cuda._maybe_exchange_device = lambda index: exchange(index)
    torch.cuda._cudart = Cudart
    torch.cuda.cudart = lambda: Cudart
    torch.cuda._get_device_properties = Properties
    torch.cuda.device_count = lambda: devices
    torch.cuda._sleep = torch._C._cuda_sleep
    torch.cuda.is_current_stream_capturing = lambda: bool(c.em_capturing(*stream_of(-1)[1::-1]))
    _streams(runtime)
    _graphs(runtime)
    _profiler()
    # One function: a list of the replaced names of torch.cuda, in the order of torch's own modules.
    return runtime


def _checked(status: int) -> None:
    if status == 1:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
    if status:
        raise RuntimeError("CUDA error: work that was waiting in a stream failed")


def _number_of(handle: int) -> int:
    """Of a stream, from its handle: the inverse of `handle_of`."""
    if handle in (0, 1):
        return 0
    number, rest = divmod(handle - 0x5EA00000, 16)
    if rest or number < 0:
        raise RuntimeError(f"CUDA error: invalid resource handle ({handle:#x})")
    return number


def _streams(runtime: Runtime) -> None:
    """torch.cuda.Stream, ExternalStream and Event."""
    import torch

    c = runtime.c

    class Stream:
        def __init__(
            self,
            device: Any = None,
            priority: int = 0,
            *,
            stream_id: int | None = None,
            device_index: int | None = None,
            device_type: int = 1,
            stream_ptr: int | None = None,
        ) -> None:
            if device_index is None:
                device_index = torch.cuda._utils._get_device_index(device, optional=True)
            if stream_ptr is not None:
                stream_id = _number_of(stream_ptr)
            self.device_index, self.device_type = device_index, device_type
            self.device = torch.device("cuda", device_index)
            self.stream_id = c.em_new_stream(device_index) if stream_id is None else stream_id
            self.cuda_stream = c.em_handle(self.stream_id)
            self.priority = priority

        def __eq__(self, other: Any) -> bool:
            return isinstance(other, Stream) and (self.device_index, self.stream_id) == (
                other.device_index,
                other.stream_id,
            )

        def __hash__(self) -> int:
            return hash((self.device_index, self.stream_id))

        def synchronize(self) -> None:
            _checked(c.em_synchronize(self.device_index, self.stream_id))

        def query(self) -> bool:
            return not c.em_is_held(self.device_index, self.stream_id)

        def record_event(self, event: Any = None) -> Any:
            event = Event() if event is None else event
            event.record(self)
            return event

        def wait_event(self, event: Any) -> None:
            event.wait(self)

        def wait_stream(self, stream: Any) -> None:
            self.wait_event(stream.record_event())

        def __enter__(self) -> Any:
            self._context = torch.cuda.stream(self)
            self._context.__enter__()
            return self

        def __exit__(self, *error: Any) -> None:
            self._context.__exit__(*error)

    class ExternalStream(Stream):
        def __init__(self, stream_ptr: int, device: Any = None) -> None:
            super().__init__(device, stream_ptr=stream_ptr)

    class Event:
        def __init__(
            self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
        ) -> None:
            self.enable_timing = enable_timing
            self._stream: Any = None
            self._when = 0.0

        def record(self, stream: Any = None) -> None:
            self._stream = torch.cuda.current_stream() if stream is None else stream
            self._when = time.perf_counter()
            self._after = self._waits()
            self._done = self._stream.query()

        def _waits(self) -> int:
            return c.em_waited_for(self._stream.device_index, self._stream.stream_id)

        def query(self) -> bool:
            return self._stream is None or self._done or self._waits() > self._after

        def synchronize(self) -> None:
            if self._stream is not None:
                self._stream.synchronize()

        def wait(self, stream: Any = None) -> None:
            stream = torch.cuda.current_stream() if stream is None else stream
            if stream != self._stream and not self.query():
                self.synchronize()  # the host in place of the stream: the order is the same

        def elapsed_time(self, end: Any) -> float:
            if not (self.enable_timing and end.enable_timing):
                raise ValueError("Both events must be created with argument 'enable_timing=True'.")
            if self._stream is None or end._stream is None:
                raise RuntimeError("Both events must be recorded before calculating elapsed time.")
            if not (self.query() and end.query()):
                raise RuntimeError("Both events must be completed before calculating elapsed time.")
            return max((end._when - self._when) * 1e3, 1e-3)

    torch.cuda.streams.Stream = torch.cuda.Stream = Stream
    torch.cuda.streams.ExternalStream = torch.cuda.ExternalStream = ExternalStream
    torch.cuda.streams.Event = torch.cuda.Event = Event
    # One function: the three classes share the runtime and each other.


def _graphs(runtime: Runtime) -> None:
    """torch.cuda.CUDAGraph; torch.cuda.graph is torch's own."""
    import torch

    c = runtime.c

    class CUDAGraph:
        def __init__(self, keep_graph: bool = False) -> None:
            self._graph = 0
            self._draws = False

        def register_generator_state(self, generator: Any) -> None:
            self._draws = True

        def capture_begin(self, pool: Any = None, **keys: Any) -> None:
            stream = torch.cuda.current_stream()
            if c.em_capture_begin(stream.device_index, stream.stream_id):
                raise RuntimeError(
                    "CUDA graphs must be captured on a non-default stream, one only."
                )

        def capture_end(self) -> None:
            self._graph = c.em_capture_end()
            if self._graph < 0:
                raise RuntimeError(
                    "CUDA error: operation failed due to a previous error during capture"
                )

        def replay(self) -> None:
            if self._graph <= 0:
                raise RuntimeError(
                    "Called CUDAGraph::replay without a preceding successful capture."
                )
            stream = torch.cuda.current_stream()
            _checked(2 * c.em_replay(self._graph, stream.device_index, stream.stream_id))
            if self._draws:  # from the generators as they are now
                stream.synchronize()

        def pool(self) -> Any:
            return (0, 0)

        def reset(self) -> None:
            if self._graph > 0:
                c.em_drop_graph(self._graph)
            self._graph = 0

        def __del__(self) -> None:
            with contextlib.suppress(Exception):
                self.reset()

    torch.cuda.graphs.CUDAGraph = torch.cuda.CUDAGraph = CUDAGraph


def _profiler() -> None:
    """torch.profiler.profile: all that happens is one kernel."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity

    class Kernel:
        device_type, name = DeviceType.CUDA, "emulated"

        def __init__(self, seconds: float) -> None:
            self.time_range = torch.autograd.profiler_util.Interval(0, seconds * 1e6)

    class Profile(torch.profiler.profile):
        def __init__(self, *, activities: Any = (), **keys: Any) -> None:
            self._kernels = ProfilerActivity.CUDA in activities
            super().__init__(activities=[ProfilerActivity.CPU], **keys)

        def __enter__(self) -> Any:
            self._begun = time.perf_counter()
            return super().__enter__()

        def __exit__(self, *error: Any) -> None:
            self._seconds = time.perf_counter() - self._begun
            super().__exit__(*error)

        def events(self) -> Any:
            return [*super().events(), *([Kernel(self._seconds)] if self._kernels else [])]

    torch.profiler.profile = Profile
