# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""As much of cupy as the tests use, in the memory of the host.

An array is on the "device": numpy cannot read it or mix with it, and it is exported as CUDA memory
by DLPack and ``__cuda_array_interface__``. Its own operations run immediately; operators of _core
run on the current stream of the emulated runtime.
"""

from __future__ import annotations

import ctypes
import operator
import sys
import threading
import types
import weakref
from pathlib import Path
from typing import Any

import numpy as np

__version__ = "0 (emulated)"

_runtime: Any = None
_local = threading.local()
nan, inf, pi, newaxis = np.nan, np.inf, np.pi, None


def install(core: Path) -> None:
    """Make this module ``cupy``; ``core`` is the emulated _core."""
    global _runtime
    _runtime = ctypes.CDLL(str(core))
    _runtime.emulated_cuda_register_allocation.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    _runtime.emulated_cuda_unregister_allocation.argtypes = [ctypes.c_void_p]
    _runtime.emulated_cuda_register_stream.argtypes = [ctypes.c_int, ctypes.c_size_t]
    _runtime.emulated_cuda_synchronize.argtypes = [ctypes.c_size_t]
    sys.modules["cupy"] = sys.modules[__name__]
    sys.modules["cupy.cuda"] = cuda
    sys.modules["cupy.fft"] = fft


# ------------------------------------------------------------------------------ devices and streams


class Device:
    """``cupy.cuda.Device``; None is the current one."""

    def __init__(self, id: int | None = None) -> None:
        self.id = _runtime.emulated_cuda_get_device() if id is None else int(id)
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(_runtime.emulated_cuda_get_device())
        self.use()
        return self

    def __exit__(self, *error: Any) -> None:
        _runtime.emulated_cuda_set_device(self._before.pop())

    def use(self) -> None:
        if _runtime.emulated_cuda_set_device(self.id):
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def synchronize(self) -> None:
        for handle in (0, *Stream.handles):
            _synchronize(handle)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


def _synchronize(handle: int) -> None:
    if _runtime.emulated_cuda_synchronize(handle):
        raise RuntimeError("a kernel that was waiting in the stream failed")


class Stream:
    """``cupy.cuda.Stream``, current inside of a with block."""

    handles: list[int] = []  # noqa: RUF012
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptd: bool = False) -> None:
        self.ptr = 0
        self.device_id = _runtime.emulated_cuda_get_device() if _runtime else 0
        self._before: list[Stream] = []
        if not null:
            self.ptr = 0x7EA00000 + 16 * (len(self.handles) + 1)
            self.handles.append(self.ptr)
            _runtime.emulated_cuda_register_stream(self.device_id, self.ptr)

    def __enter__(self) -> Stream:
        self._before.append(get_current_stream())
        _local.stream = self
        return self

    def __exit__(self, *error: Any) -> None:
        _local.stream = self._before.pop()

    def use(self) -> Stream:
        _local.stream = self
        return self

    def synchronize(self) -> None:
        _synchronize(self.ptr)

    def wait_event(self, event: Any) -> None:
        event.synchronize()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr


class Event:
    """``cupy.cuda.Event``."""

    def record(self, stream: Stream | None = None) -> None:
        self._stream = get_current_stream() if stream is None else stream

    def synchronize(self) -> None:
        self._stream.synchronize()


def get_current_stream(device_id: int = -1) -> Stream:
    return getattr(_local, "stream", Stream.null)


Stream.null = Stream(null=True)
cuda = types.ModuleType("cupy.cuda")
cuda.Device, cuda.Stream, cuda.Event = Device, Stream, Event  # type: ignore[attr-defined]
cuda.get_current_stream = get_current_stream  # type: ignore[attr-defined]
cuda.runtime = types.SimpleNamespace(  # type: ignore[attr-defined]
    getDeviceCount=lambda: _runtime.emulated_cuda_device_count()
)


# ------------------------------------------------------------------------------------------- arrays


def _refuse(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _unwrapped(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, tuple | list):
        return type(value)(_unwrapped(v) for v in value)
    return _refuse(value)


def _owner(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class ndarray:
    """An array of the device: a numpy array that does not show itself."""

    __slots__ = ("__weakref__", "_device", "_host")
    __array_priority__ = 100
    __array_ufunc__ = None

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        made = empty(shape, dtype)
        self._host, self._device = made._host, made._device

    @classmethod
    def _of(cls, host: np.ndarray, device: int) -> ndarray:
        self = cls.__new__(cls)
        self._host, self._device = host, device
        return self

    @classmethod
    def _new(cls, host: np.ndarray) -> ndarray:
        """Return a copy in new memory."""
        owner = _owner(host)
        device = _runtime.emulated_cuda_get_device()
        address = owner.ctypes.data
        if owner.nbytes:
            _runtime.emulated_cuda_register_allocation(device, address, owner.nbytes)
            weakref.finalize(owner, _runtime.emulated_cuda_unregister_allocation, address)
        return cls._of(host, device)

    def _result(self, value: Any) -> Any:
        if isinstance(value, np.generic):
            value = np.asarray(value)
        if not isinstance(value, np.ndarray):
            return value
        if np.shares_memory(value, self._host):
            return self._of(value, self._device)
        with self.device:
            return self._new(value)

    # -- what it is

    @property
    def device(self) -> Device:
        return Device(self._device)

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=self._host.ctypes.data)

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
        (get_current_stream() if stream is None else stream).synchronize()
        return np.array(self._host, order="C")

    def __array__(self, *args: Any, **keys: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        host = self._host.__array_interface__
        strides = None if self._host.flags.c_contiguous else self._host.strides
        return {
            "shape": host["shape"],
            "typestr": host["typestr"],
            "data": (self._host.ctypes.data, False),
            "strides": strides,
            "version": 3,
            "stream": get_current_stream().ptr or 1,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._device

    def __dlpack__(self, stream: Any = None) -> Any:  # older than DLPack 1.0: no max_version
        if stream not in (None, -1) and (0 if stream == 1 else stream) != get_current_stream().ptr:
            get_current_stream().synchronize()
        return _capsule(self._host, self._device)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._host, name)
        if name.startswith("__"):
            raise AttributeError(name)
        if not callable(value):
            return self._result(value)

        def method(*args: Any, **keys: Any) -> Any:
            keys = {k: _unwrapped(v) for k, v in keys.items()}
            return self._result(value(*[_unwrapped(a) for a in args], **keys))

        return method

    def __getitem__(self, index: Any) -> Any:
        return self._result(self._host[_unwrapped(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_unwrapped(index)] = _unwrapped(value)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __repr__(self) -> str:
        return repr(self._host)


def _binary(name: str) -> Any:
    function = getattr(operator, name)

    def method(self: ndarray, other: Any) -> Any:
        return self._result(function(self._host, _unwrapped(other)))

    def reflected(self: ndarray, other: Any) -> Any:
        return self._result(function(_unwrapped(other), self._host))

    def in_place(self: ndarray, other: Any) -> Any:
        self._host[...] = function(self._host, _unwrapped(other)).astype(self._host.dtype)
        return self

    return method, reflected, in_place


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor"):
    _plain = _name.rstrip("_")
    for _prefix, _method in zip(("", "r", "i"), _binary(_name), strict=True):
        setattr(ndarray, f"__{_prefix}{_plain}__", _method)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _binary(_name)[0])
ndarray.__neg__ = lambda self: self._result(-self._host)
ndarray.__abs__ = lambda self: self._result(np.abs(self._host))
ndarray.__invert__ = lambda self: self._result(~self._host)
ndarray.__hash__ = None  # type: ignore[assignment]


# ------------------------------------------------------------------------------ DLPack, unversioned


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = (
    ("tensor", _Tensor),
    ("context", ctypes.c_void_p),
    ("deleter", _Deleter),
)
_exported: dict[int, Any] = {}
_capsule_new = ctypes.pythonapi.PyCapsule_New
_capsule_new.restype = ctypes.py_object
_capsule_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


@_Deleter
def _delete(managed: Any) -> None:
    _exported.pop(ctypes.addressof(managed.contents), None)


def _capsule(host: np.ndarray, device: int) -> Any:
    shape = (ctypes.c_int64 * max(host.ndim, 1))(*host.shape)
    strides = (ctypes.c_int64 * max(host.ndim, 1))(*[s // host.itemsize for s in host.strides])
    code = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}[host.dtype.kind]
    managed = _Managed()
    managed.tensor = _Tensor(
        host.ctypes.data, 2, device, host.ndim, code, 8 * host.itemsize, 1, shape, strides, 0
    )
    managed.deleter = _delete
    address = ctypes.addressof(managed)
    _exported[address] = (managed, shape, strides, host)  # until the consumer gives it back
    return _capsule_new(address, b"dltensor", None)


# ---------------------------------------------------------------------------------------- functions


def asarray(a: Any, dtype: Any = None) -> ndarray:
    if isinstance(a, ndarray):
        return a if dtype in (None, a.dtype) else a.astype(dtype)
    if hasattr(a, "__cuda_array_interface__"):
        return _shared(a)
    return ndarray._new(np.array(a, dtype=dtype, order="C"))


def _shared(a: Any) -> ndarray:
    """The memory of another library's array."""

    class Host:
        keeps = a
        __array_interface__ = {  # noqa: RUF012
            k: v for k, v in a.__cuda_array_interface__.items() if k != "stream"
        }

    return ndarray._of(np.asarray(Host()), a.device.index if hasattr(a.device, "index") else 0)


def array(a: Any, dtype: Any = None) -> ndarray:
    return ndarray._new(np.array(a._host if isinstance(a, ndarray) else a, dtype=dtype, order="C"))


def asnumpy(a: Any) -> np.ndarray:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def empty(shape: Any, dtype: Any = float) -> ndarray:
    made = np.empty(shape, dtype)
    made.reshape(-1).view(np.uint8)[...] = 0xFF
    return ndarray._new(made)


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray._new(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray._new(np.ones(shape, dtype))


def full(shape: Any, value: Any, dtype: Any = None) -> ndarray:
    return ndarray._new(np.full(shape, _refuse(value), dtype))


def empty_like(a: ndarray, dtype: Any = None) -> ndarray:
    return empty(a.shape, dtype or a.dtype)


def zeros_like(a: ndarray, dtype: Any = None) -> ndarray:
    return zeros(a.shape, dtype or a.dtype)


def full_like(a: ndarray, value: Any, dtype: Any = None) -> ndarray:
    return full(a.shape, value, dtype or a.dtype)


def arange(*args: Any, dtype: Any = None) -> ndarray:
    return ndarray._new(np.arange(*args, dtype=dtype))


def ascontiguousarray(a: ndarray) -> ndarray:
    return a._result(np.ascontiguousarray(a._host))


def get_default_memory_pool() -> Any:
    return types.SimpleNamespace(free_all_blocks=lambda: None)


def _on_numpy(function: Any) -> Any:
    def called(*args: Any, **keys: Any) -> Any:
        keys = {k: _unwrapped(v) for k, v in keys.items()}
        return args[0]._result(function(*[_unwrapped(a) for a in args], **keys))

    return called


abs = _on_numpy(np.abs)
fft = types.ModuleType("cupy.fft")
for _name in ("fft", "ifft", "rfft", "irfft", "rfftn", "irfftn"):
    setattr(fft, _name, _on_numpy(getattr(np.fft, _name)))
fft.config = types.SimpleNamespace(  # type: ignore[attr-defined]
    get_plan_cache=lambda: types.SimpleNamespace(clear=lambda: None)
)
for _name in ("bool_", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"):
    globals()[_name] = getattr(np, _name)
