// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
#pragma once
#include "core/config.hpp" // for Index

#include <pybind11/pybind11.h>

#include <cstdint>          // for uintptr_t
#include <initializer_list> // for initializer_list
#include <memory>           // for unique_ptr
#include <optional>         // for optional
#include <string>           // for string
#include <vector>           // for vector

namespace micro3d {

namespace py = pybind11;

enum class Access { read, write };

/// The element types of operators.
enum class DType { b8, u8, i8, i16, i32, i64, u16, u32, u64, f16, bf16, f32, f64, c64, c128 };

const char* dtype_name(DType dtype);

/// The dtype of a C++ element type; 16-bit floats have no C++ type here, see data_as().
template <class T> struct DTypeOf;
template <> struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <> struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <> struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <> struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <> struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};

/// A view of a Python array (numpy, torch, cupy, anything with __dlpack__), never a copy.
///
/// The only DLPack-aware class. A layout whose sizes or offsets do not fit memory is refused, so
/// that products of extents and of strides cannot overflow. It must be made and destroyed with the
/// GIL held: declare Arrays before `gil_scoped_release`. Strides and extents count elements. Every
/// require_... throws one sentence with the argument's name, the requirement and the value.
class Array {
 public:
  /// `stream`: the CUDA stream (1 = default) that the caller will launch on; empty for the CPU.
  Array(const py::object& object, const char* name, Access access,
        std::optional<std::uintptr_t> stream = std::nullopt);

  const std::string& name() const { return name_; }
  int ndim() const { return static_cast<int>(shape_.size()); }
  Index extent(int axis) const { return shape_[static_cast<std::size_t>(axis)]; }
  Index stride(int axis) const { return strides_[static_cast<std::size_t>(axis)]; }
  const std::vector<Index>& shape() const { return shape_; }
  Index size() const;
  DType dtype() const { return dtype_; }
  int itemsize() const { return itemsize_; }
  bool is_cuda() const { return cuda_; }
  int device_id() const { return device_id_; }
  bool is_contiguous() const;

  /// The first element, typed: TypeError unless the dtype is T's (bool passes for uint8).
  template <class T> T* data() const {
    require_dtype({DTypeOf<std::remove_const_t<T>>::value});
    return static_cast<T*>(data_);
  }
  /// The first element, untyped, for dtypes that have been checked already.
  void* data_untyped() const { return data_; }

  void require_dtype(std::initializer_list<DType> allowed) const;
  void require_ndim(int ndim) const;
  void require_shape(const std::vector<Index>& shape) const;
  void require_contiguous() const;        // row-major; empty arrays always pass
  void require_distinct_elements() const; // no two indices share an element: for outputs
  void require_same_device(const Array& other) const;
  void require_no_overlap(const Array& other) const;         // byte ranges
  void require_same_or_apart(const Array& other) const;      // `other` itself, or no overlap
  void require_below(Index limit, const Array& table) const; // of contiguous uint8 on the CPU

 private:
  struct Release {
    void (*release)(void*);
    void operator()(void* tensor) const { release(tensor); }
  };
  void require_sane_layout() const;
  bool overlaps(const Array& other) const;
  void byte_range(std::uintptr_t& low, std::uintptr_t& high) const;

  std::string name_;
  std::unique_ptr<void, Release> owner_{nullptr, Release{nullptr}};
  void* data_ = nullptr;
  std::vector<Index> shape_, strides_;
  DType dtype_ = DType::u8;
  int itemsize_ = 1;
  bool cuda_ = false;
  int device_id_ = 0;
};

/// Refuses outputs that share memory with another output or with an input; null: not given.
void require_own_memory(std::initializer_list<const Array*> outputs,
                        std::initializer_list<const Array*> inputs);

/// "(2, 3, 4)"
std::string shape_text(const std::vector<Index>& shape);

} // namespace micro3d
