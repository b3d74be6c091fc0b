// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// The DLPack consumer: https://dmlc.github.io/dlpack/latest/python_spec.html
#include "bindings/array.hpp"

#include "core/bytes.hpp"  // for largest_byte
#include "core/device.hpp" // for cuda_status, DeviceGuard
#include "core/errors.hpp" // for CudaUnavailable

#include "dlpack/dlpack.h"

#include <algorithm> // for find, max, sort
#include <array>     // for array
#include <cmath>     // for abs

namespace micro3d {

namespace {

struct DTypeRow {
  DType dtype;
  std::uint8_t code, bits;
  const char* name;
};
constexpr std::array<DTypeRow, 15> dtype_table{{
    {DType::b8, kDLBool, 8, "bool"},
    {DType::u8, kDLUInt, 8, "uint8"},
    {DType::i8, kDLInt, 8, "int8"},
    {DType::i16, kDLInt, 16, "int16"},
    {DType::i32, kDLInt, 32, "int32"},
    {DType::i64, kDLInt, 64, "int64"},
    {DType::u16, kDLUInt, 16, "uint16"},
    {DType::u32, kDLUInt, 32, "uint32"},
    {DType::u64, kDLUInt, 64, "uint64"},
    {DType::f16, kDLFloat, 16, "float16"},
    {DType::bf16, kDLBfloat, 16, "bfloat16"},
    {DType::f32, kDLFloat, 32, "float32"},
    {DType::f64, kDLFloat, 64, "float64"},
    {DType::c64, kDLComplex, 64, "complex64"},
    {DType::c128, kDLComplex, 128, "complex128"},
}};

std::string quoted(const std::string& name) { return "`" + name + "`"; }

std::string type_name(const py::object& object) {
  return py::cast<std::string>(py::type::of(object).attr("__name__"));
}

/// __dlpack__, in the 1.x flavour if the producer knows it. Producers refuse what DLPack cannot
/// describe (foreign byte order, dtypes of objects, gradients) by exceptions of many kinds.
py::object export_capsule(const py::object& object, const std::string& name,
                          const py::object& stream) {
  using namespace py::literals;
  const py::object method = object.attr("__dlpack__");
  try {
    try {
      return method("stream"_a = stream, "max_version"_a = py::make_tuple(1, 0));
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_TypeError))
        throw;
    }
    return method("stream"_a = stream); // a producer older than DLPack 1.0
  } catch (py::error_already_set& error) {
    const bool refused = error.matches(PyExc_BufferError) || error.matches(PyExc_TypeError) ||
                         error.matches(PyExc_ValueError) ||
                         (stream.is_none() && error.matches(PyExc_RuntimeError));
    if (!refused)
      throw;
    std::string kind = type_name(object);
    if (py::hasattr(object, "dtype"))
      kind += " of dtype " + py::cast<std::string>(py::str(object.attr("dtype")));
    throw py::type_error(quoted(name) + " must be an array that DLPack can share, got " + kind +
                         ": " + py::cast<std::string>(py::str(error.value())));
  }
}

/// The stream argument for a producer on CUDA: the stream that has to wait for its work, or -1 if
/// none has to, as for torch tensors on torch's current stream. torch would compare streams by
/// number and not by handle, and let a side stream wait for itself, even in the capture of a graph.
py::object consumer_stream(const py::object& object, int device, std::uintptr_t stream) {
  const py::object module = py::type::of(object).attr("__module__");
  if (py::cast<std::string>(module).rfind("torch", 0) == 0) {
    const py::object current =
        py::module_::import("torch").attr("cuda").attr("current_stream")(device);
    const auto handle = py::cast<std::uintptr_t>(current.attr("cuda_stream"));
    if ((handle == 0 ? 1 : handle) == stream)
      return py::int_(-1);
  }
  return py::int_(stream);
}

} // namespace

const char* dtype_name(DType dtype) {
  for (const DTypeRow& row : dtype_table)
    if (row.dtype == dtype)
      return row.name;
  return "?";
}

std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0)
      text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

Array::Array(const py::object& object, const char* name, Access access,
             std::optional<std::uintptr_t> stream)
    : name_(name) {
  if (!py::hasattr(object, "__dlpack__") || !py::hasattr(object, "__dlpack_device__"))
    throw py::type_error(quoted(name_) +
                         " must be an array (numpy, torch, cupy or anything with "
                         "__dlpack__), got " +
                         type_name(object));

  // The device first: refuse unusable memory before anything is exported.
  const py::tuple device = object.attr("__dlpack_device__")();
  const int device_type = py::cast<int>(py::int_(device[0]));
  device_id_ = py::cast<int>(py::int_(device[1]));
  if (device_type == kDLCUDA || device_type == kDLCUDAManaged) {
    cuda_ = true;
    if (cuda_device_count() == 0)
      throw CudaUnavailable(quoted(name_) + " is on a CUDA device, but " + cuda_status());
  } else if (device_type != kDLCPU && device_type != kDLCUDAHost) {
    throw py::value_error(quoted(name_) +
                          " must be in the memory of the CPU or of a CUDA device, "
                          "got DLPack device type " +
                          std::to_string(device_type));
  }

  const py::object stream_object =
      cuda_ ? consumer_stream(object, device_id_, stream.value_or(1)) : py::object(py::none());
  std::optional<DeviceGuard> here; // torch exports from the current device alone
  if (cuda_)
    here.emplace(device_id_);
  const py::object capsule = export_capsule(object, name_, stream_object);
  here.reset();
  const DLTensor* tensor = nullptr;
  bool read_only = false;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* managed = static_cast<DLManagedTensorVersioned*>(
        PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed->version.major != DLPACK_MAJOR_VERSION) // leave the capsule alone
      throw py::buffer_error(quoted(name_) + " must be DLPack version 1, got version " +
                             std::to_string(managed->version.major));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    owner_ = {managed, Release{[](void* p) {
                auto* m = static_cast<DLManagedTensorVersioned*>(p);
                if (m->deleter)
                  m->deleter(m);
              }}};
    tensor = &managed->dl_tensor;
    read_only = (managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0;
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    owner_ = {managed, Release{[](void* p) {
                auto* m = static_cast<DLManagedTensor*>(p);
                if (m->deleter)
                  m->deleter(m);
              }}};
    tensor = &managed->dl_tensor;
  } else {
    throw py::type_error(quoted(name_) + ".__dlpack__() returned no fresh DLPack capsule");
  }
  if (read_only && access == Access::write)
    throw py::value_error(quoted(name_) + " must be writable, got a read-only array");

  const auto row = std::find_if(dtype_table.begin(), dtype_table.end(), [&](const DTypeRow& r) {
    return r.code == tensor->dtype.code && r.bits == tensor->dtype.bits && tensor->dtype.lanes == 1;
  });
  if (row == dtype_table.end())
    throw py::type_error(quoted(name_) + " must have a known dtype, got DLPack code " +
                         std::to_string(tensor->dtype.code) + ", " +
                         std::to_string(tensor->dtype.bits) + " bits");
  dtype_ = row->dtype;
  itemsize_ = row->bits / 8;
  shape_.assign(tensor->shape, tensor->shape + tensor->ndim);
  if (tensor->strides) {
    strides_.assign(tensor->strides, tensor->strides + tensor->ndim);
  } else { // before DLPack 1.2 null means row-major
    strides_.assign(shape_.size(), 1);
    for (int i = ndim() - 2; i >= 0; --i)
      strides_[std::size_t(i)] = strides_[std::size_t(i) + 1] * shape_[std::size_t(i) + 1];
  }
  data_ = static_cast<char*>(tensor->data) + tensor->byte_offset;
  require_sane_layout();
}

void Array::require_sane_layout() const {
  constexpr double most = 281474976710656.0; // 2^48 elements, more than any memory holds
  double elements = 1.0, reach = 0.0;
  for (int i = 0; i < ndim(); ++i) {
    elements *= static_cast<double>(std::max<Index>(extent(i), 1));
    reach += static_cast<double>(std::max<Index>(extent(i) - 1, 0)) *
             std::abs(static_cast<double>(stride(i)));
  }
  if (elements > most)
    throw py::value_error(quoted(name_) + " must have at most 2^48 elements, got shape " +
                          shape_text(shape_));
  if (size() == 0)
    return;
  if (reach > most)
    throw py::value_error(quoted(name_) + " must lie within 2^48 elements, got strides " +
                          shape_text(strides_));
  const bool complex = dtype_ == DType::c64 || dtype_ == DType::c128;
  if (reinterpret_cast<std::uintptr_t>(data_) % std::uintptr_t(complex ? itemsize_ / 2 : itemsize_))
    throw py::value_error(quoted(name_) +
                          " must be aligned to its elements, got an address that "
                          "is no multiple of their " +
                          std::to_string(itemsize_) + " bytes");
}

Index Array::size() const {
  Index n = 1;
  for (const Index extent : shape_)
    n *= extent;
  return n;
}

bool Array::is_contiguous() const {
  if (size() == 0)
    return true; // numpy gives empty arrays zero strides
  Index expected = 1;
  for (int i = ndim() - 1; i >= 0; --i) {
    if (extent(i) != 1 && stride(i) != expected)
      return false;
    expected *= extent(i);
  }
  return true;
}

void Array::require_dtype(std::initializer_list<DType> allowed) const {
  for (const DType dtype : allowed)
    if (dtype == dtype_ || (dtype == DType::u8 && dtype_ == DType::b8))
      return;
  std::string text = quoted(name_) + " must be ";
  std::size_t i = 0;
  for (const DType dtype : allowed) {
    if (i > 0)
      text += i + 1 == allowed.size() ? " or " : ", ";
    text += dtype_name(dtype);
    ++i;
  }
  throw py::type_error(text + ", got " + dtype_name(dtype_));
}

void Array::require_ndim(int expected) const {
  if (ndim() != expected)
    throw py::value_error(quoted(name_) + " must have " + std::to_string(expected) +
                          " axes, got shape " + shape_text(shape_));
}

void Array::require_shape(const std::vector<Index>& expected) const {
  if (shape_ != expected)
    throw py::value_error(quoted(name_) + " must have shape " + shape_text(expected) + ", got " +
                          shape_text(shape_));
}

void Array::require_contiguous() const {
  if (!is_contiguous())
    throw py::value_error(quoted(name_) + " must be C-contiguous, got strides " +
                          shape_text(strides_) + " for shape " + shape_text(shape_));
}

void Array::require_distinct_elements() const {
  if (size() == 0)
    return;
  std::vector<int> axes; // by stride: each must step over what the smaller ones reach
  for (int i = 0; i < ndim(); ++i)
    if (extent(i) > 1)
      axes.push_back(i);
  const auto distance = [this](int i) { return std::abs(stride(i)); };
  std::sort(axes.begin(), axes.end(), [&](int i, int j) { return distance(i) < distance(j); });
  Index reach = 0;
  for (const int i : axes) {
    if (distance(i) <= reach)
      throw py::value_error(quoted(name_) +
                            " must have an element of its own for every index, got shape " +
                            shape_text(shape_) + " with stride " + std::to_string(stride(i)) +
                            " along axis " + std::to_string(i));
    reach += distance(i) * (extent(i) - 1);
  }
}

void Array::require_same_device(const Array& other) const {
  const auto text = [](const Array& a) {
    return a.cuda_ ? "cuda:" + std::to_string(a.device_id_) : std::string("the CPU");
  };
  if (cuda_ != other.cuda_ || (cuda_ && device_id_ != other.device_id_))
    throw py::value_error(quoted(name_) + " must be on the same device as " + quoted(other.name_) +
                          " (" + text(other) + "), got " + text(*this));
}

void Array::byte_range(std::uintptr_t& low, std::uintptr_t& high) const {
  Index first = 0, last = 0; // in elements from data_
  for (int i = 0; i < ndim(); ++i) {
    const Index reach = (extent(i) - 1) * stride(i);
    (reach < 0 ? first : last) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(data_);
  low = base + static_cast<std::uintptr_t>(first * itemsize_);
  high = base + static_cast<std::uintptr_t>((last + 1) * itemsize_);
}

bool Array::overlaps(const Array& other) const {
  if (size() == 0 || other.size() == 0)
    return false;
  std::uintptr_t low = 0, high = 0, other_low = 0, other_high = 0;
  byte_range(low, high);
  other.byte_range(other_low, other_high);
  return low < other_high && other_low < high;
}

void Array::require_no_overlap(const Array& other) const {
  if (overlaps(other))
    throw py::value_error(quoted(name_) + " must not share memory with " + quoted(other.name_) +
                          ", got overlapping arrays");
}

void Array::require_same_or_apart(const Array& other) const {
  const bool same = data_ == other.data_ && dtype_ == other.dtype_ && shape_ == other.shape_ &&
                    strides_ == other.strides_;
  if (!same)
    require_no_overlap(other);
}

void Array::require_below(Index limit, const Array& table) const {
  if (limit > 0xff || cuda_)
    return; // on a GPU the caller would have to wait for the answer
  int most = 0;
  {
    const py::gil_scoped_release no_gil;
    most = largest_byte(static_cast<const std::uint8_t*>(data_), size());
  }
  if (most >= limit)
    throw py::value_error(quoted(name_) + " must be below " + std::to_string(limit) +
                          ", the size of " + quoted(table.name_) + ", got " + std::to_string(most));
}

void require_own_memory(std::initializer_list<const Array*> outputs,
                        std::initializer_list<const Array*> inputs) {
  for (auto out = outputs.begin(); out != outputs.end(); ++out) {
    if (*out == nullptr)
      continue;
    for (auto other = outputs.begin(); other != out; ++other)
      if (*other != nullptr)
        (*out)->require_no_overlap(**other);
    for (const Array* const other : inputs)
      if (other != nullptr)
        (*out)->require_no_overlap(*other);
  }
}

} // namespace micro3d
