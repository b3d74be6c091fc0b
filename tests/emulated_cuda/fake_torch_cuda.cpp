// SPDX-FileCopyrightText: 2026 the micro3d-fast developers
// SPDX-License-Identifier: MIT
// A CUDA device for a CPU build of torch: its tensors are true CUDA tensors (device cuda:N, the
// CUDA dispatch key) whose memory is that of the host.  Whatever has no kernel for CUDA, which in a
// CPU build is everything, is dispatched to `fallback`: it checks what a GPU would refuse, runs the
// CPU operator on tensors that share the memory, and returns the results as CUDA tensors.
//
// Streams and graphs are those of the emulated CUDA runtime (api.hpp), so that torch's operators
// and the kernels of _core keep one order.  On a stream that is held or captured an operator is run
// for the shapes of its results alone, what it wrote is put back, and it runs again in its turn.
// Memory is filled with 0xFF bytes (NaN) when it is allocated and when it is freed: nothing may
// count on the content of an `empty`, or on memory that an operator in flight or a graph uses alone.
//
// One file of about 1000 lines, because it is one dispatcher backend: allocator, device guard,
// streams, fallback and the operators that the fallback cannot serve share its static state.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <c10/core/Allocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

namespace {

using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::IValue;
using c10::Stream;
using c10::StreamId;
using Stack = torch::jit::Stack;

constexpr int most_devices = 8;

int device_count = 1;
std::int64_t total_memory = std::int64_t(8) << 30;

/// The functions of api.hpp, found in the _core that is emulated.
struct Api {
  int (*get_device)();
  int (*set_device)(int);
  void (*register_allocation)(int, const void*, std::size_t);
  void (*unregister_allocation)(const void*);
  void (*register_stream)(int, std::uintptr_t);
  void (*hold)(std::uintptr_t);
  int (*synchronize)(std::uintptr_t);
  void (*capture_begin)(std::uintptr_t);
  void* (*capture_end)(std::uintptr_t);
  int (*graph_launch)(void*, std::uintptr_t);
  void (*graph_destroy)(void*);
  void (*host_function)(std::uintptr_t, void (*)(void*), void*);
};
Api api{};

thread_local std::array<StreamId, most_devices> own_stream{};

int current_device() { return api.get_device(); }

void set_device(int index) {
  TORCH_CHECK(index >= 0 && index < device_count, "CUDA error: invalid device ordinal");
  api.set_device(index);
}

StreamId current_stream(int device) { return own_stream[std::size_t(device)]; }

/// What a C++ library is given for a stream.
std::uintptr_t handle_of(StreamId stream) {
  return stream == 0 ? 0 : 0x5EA00000 + 16 * std::uintptr_t(stream);
}

// ------------------------------------------------------------------------------------------
// streams

using StreamOf = std::pair<int, StreamId>; // device and number

std::recursive_mutex& lock_ = *new std::recursive_mutex; // of the state of streams and graphs
StreamId streams_made = 0;
// what memory needs when it is freed is never destroyed: that may be after the statics
std::set<StreamOf>& held =
    *new std::set<StreamOf>; // nothing runs there until somebody waits for it
bool always_late = false;
std::exception_ptr failure; // of work that was waiting

bool is_held(StreamOf stream) {
  const std::lock_guard lock(lock_);
  if (always_late && held.insert(stream).second)
    api.hold(handle_of(stream.second));
  return held.count(stream) != 0;
}

void hold(StreamOf stream) {
  const std::lock_guard lock(lock_);
  if (held.insert(stream).second)
    api.hold(handle_of(stream.second));
}

// Work that is done. It holds the memory that it knew until its stream is empty: kernels of _core
// that come behind it may know the same, and hold nothing.
std::vector<std::unique_ptr<std::function<void()>>>& done =
    *new std::vector<std::unique_ptr<std::function<void()>>>;

std::map<StreamOf, std::int64_t>& waited_for = *new std::map<StreamOf, std::int64_t>; // how often

void catch_up(StreamOf stream) {
  {
    const std::lock_guard lock(lock_);
    ++waited_for[stream];
    if (held.erase(stream) == 0)
      return;
  }
  const int status = api.synchronize(handle_of(stream.second));
  std::vector<std::unique_ptr<std::function<void()>>> dead;
  {
    const std::lock_guard lock(lock_);
    dead.swap(done);
  }
  dead.clear();
  if (const std::exception_ptr error = std::exchange(failure, nullptr))
    std::rethrow_exception(error);
  TORCH_CHECK(status == 0, "CUDA error: ", status, " in work that was waiting in a stream");
}

void catch_up_all(int device) {
  std::vector<StreamOf> some;
  {
    const std::lock_guard lock(lock_);
    for (const StreamOf& stream : held)
      if (stream.first == device)
        some.push_back(stream);
  }
  for (const StreamOf& stream : some)
    catch_up(stream);
}

// -------------------------------------------------------------------------------------------
// graphs

using Job = std::function<void()>;

struct Graph {
  void* native = nullptr;
  std::vector<std::unique_ptr<Job>> jobs;
  std::vector<c10::Storage> kept; // memory allocated in the capture
  ~Graph() {
    if (native != nullptr)
      api.graph_destroy(native);
  }
};

struct Capture {
  std::unique_ptr<Graph> graph;
  StreamOf stream;
  std::string broken; // what made it invalid
};

std::unique_ptr<Capture>& capture = *new std::unique_ptr<Capture>; // one at a time, as torch has it
std::map<std::int64_t, std::shared_ptr<Graph>>& graphs =
    *new std::map<std::int64_t, std::shared_ptr<Graph>>;
std::int64_t graphs_made = 0;
std::vector<c10::Storage>& graveyard =
    *new std::vector<c10::Storage>; // freed while there are graphs, which may know it
thread_local bool inside_work = false;

bool capturing(StreamOf stream) { return capture && !inside_work && capture->stream == stream; }

StreamId new_stream(int device) {
  const std::lock_guard lock(lock_);
  api.register_stream(device, handle_of(++streams_made));
  return streams_made;
}

/// What waits for the device is refused while any stream is captured (mode "global").
void refuse_in_capture(const std::string& what) {
  if (!capture || inside_work)
    return;
  capture->broken = what;
  TORCH_CHECK(false, "CUDA error: operation not permitted when stream is capturing (", what, ")");
}

void run_job(void* data) {
  const bool before = std::exchange(inside_work, true);
  try {
    (*static_cast<Job*>(data))();
  } catch (...) {
    if (!failure)
      failure = std::current_exception();
  }
  inside_work = before;
}

void run_and_drop(void* data) {
  run_job(data);
  const std::lock_guard lock(lock_);
  done.emplace_back(static_cast<Job*>(data));
}

/// Into a stream that is held or captured.
void enqueue(StreamOf stream, Job job) {
  auto mine =
      std::make_unique<Job>([job = std::move(job), inference = c10::InferenceMode::is_enabled()] {
        const c10::InferenceMode as_it_was(
            inference); // inference tensors are written in that mode alone
        job();
      });
  const std::lock_guard lock(lock_);
  if (capturing(stream)) {
    api.host_function(handle_of(stream.second), run_job, mine.get());
    capture->graph->jobs.push_back(std::move(mine));
  } else {
    api.host_function(handle_of(stream.second), run_and_drop, mine.release());
  }
}

// ------------------------------------------------------------------------------- memory, by device

struct Memory {
  std::atomic<std::int64_t> now{0}, peak{0};
};
std::array<Memory, most_devices> memory;

void allocated(int device, std::int64_t bytes) {
  Memory& m = memory[std::size_t(device)];
  const std::int64_t now = m.now += (bytes + 511) / 512 * 512;
  std::int64_t peak = m.peak;
  while (now > peak && !m.peak.compare_exchange_weak(peak, now)) {
  }
}

/// Keeps a storage of the host while a storage of the GPU uses its memory, or the other way
/// around.
struct Keeper {
  c10::Storage storage;
  int device; // of memory of a GPU; -1: of the host
  StreamOf stream;
  std::int64_t bytes;
  Keeper(c10::Storage s, int d) : storage(std::move(s)), device(d) {
    bytes = std::int64_t(storage.nbytes());
    if (device < 0)
      return;
    stream = {device, current_stream(device)};
    allocated(device, bytes);
    if (bytes > 0)
      api.register_allocation(device, storage.data(), std::size_t(bytes));
  }
  ~Keeper() {
    if (device < 0)
      return;
    memory[std::size_t(device)].now -= (bytes + 511) / 512 * 512;
    if (bytes == 0)
      return;
    // freed in the order of the stream that it was allocated on, as caching allocators do
    const auto end = [storage = storage, bytes = bytes] {
      if (storage.use_count() <= 2)
        std::memset(const_cast<void*>(storage.data()), 0xFF, std::size_t(bytes));
      api.unregister_allocation(storage.data());
      const std::lock_guard lock(lock_);
      if (!graphs.empty() || capture)
        graveyard.push_back(storage);
    };
    const std::lock_guard lock(lock_);
    if (!inside_work && held.count(stream) && !capturing(stream))
      enqueue(stream, end);
    else
      end();
  }
};

void drop(void* keeper) { delete static_cast<Keeper*>(keeper); }

c10::Storage share(const c10::Storage& storage, Device device, int counted_for) {
  void* data = const_cast<void*>(storage.data());
  const std::size_t bytes = storage.nbytes();
  c10::DataPtr pointer(data, new Keeper(storage, counted_for), drop, device);
  return c10::Storage(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(),
                                                            bytes, std::move(pointer),
                                                            c10::GetAllocator(c10::kCPU), true));
}

at::Tensor in_shape(at::Tensor out, const at::Tensor& like) {
  c10::TensorImpl* impl = out.unsafeGetTensorImpl();
  impl->set_storage_offset(like.storage_offset());
  impl->set_sizes_and_strides(like.sizes(), like.strides());
  out._set_conj(like.is_conj());
  out._set_neg(like.is_neg());
  if (like.unsafeGetTensorImpl()->is_wrapped_number())
    impl->set_wrapped_number(true);
  return out;
}

at::Tensor with_storage(c10::Storage storage, c10::DispatchKey key, const at::Tensor& like) {
  return in_shape(at::detail::make_tensor<c10::TensorImpl>(std::move(storage),
                                                           c10::DispatchKeySet(key), like.dtype()),
                  like);
}

/// A view of a tensor: in inference mode only if that is.
at::Tensor view_of(const at::Tensor& base, const at::Tensor& like) {
  const c10::DispatchKeySet keys =
      base.key_set() -
      c10::DispatchKeySet({c10::DispatchKey::Conjugate, c10::DispatchKey::Negative});
  return in_shape(at::detail::make_tensor<c10::TensorImpl>(
                      c10::TensorImpl::VIEW, c10::Storage(base.storage()), keys, like.dtype()),
                  like);
}

/// A tensor of the host that shares the memory of one of the GPU.
at::Tensor host_alias(const at::Tensor& t) {
  return with_storage(share(t.storage(), c10::kCPU, -1), c10::DispatchKey::CPU, t);
}

/// A tensor of the GPU in the memory of a fresh one of the host.
at::Tensor on_card(const at::Tensor& host, int device) {
  const Device there(DeviceType::CUDA, DeviceIndex(device));
  return with_storage(share(host.storage(), there, device), c10::DispatchKey::CUDA, host);
}

// ------------------------------------------------------------------------------------------ the
// RNG

struct CardGenerator final : c10::GeneratorImpl {
  at::Generator host;
  explicit CardGenerator(DeviceIndex index, at::Generator g)
      : GeneratorImpl(Device(DeviceType::CUDA, index), c10::DispatchKeySet(c10::DispatchKey::CUDA)),
        host(std::move(g)) {}
  void set_current_seed(std::uint64_t seed) override { host.set_current_seed(seed); }
  void set_offset(std::uint64_t) override {}
  std::uint64_t get_offset() const override { return 0; }
  std::uint64_t current_seed() const override { return host.current_seed(); }
  std::uint64_t seed() override { return host.unsafeGetGeneratorImpl()->seed(); }
  void set_state(const c10::TensorImpl& state) override {
    host.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return host.unsafeGetGeneratorImpl()->get_state();
  }
  CardGenerator* clone_impl() const override {
    return new CardGenerator(device().index(), host.clone());
  }
};

bool gives_defaults = false; // while torch.cuda.default_generators is made

at::Generator new_generator(int index) {
  return at::make_generator<CardGenerator>(DeviceIndex(index), at::detail::createCPUGenerator(0));
}

const at::Generator& default_generator(int index) {
  static std::vector<at::Generator> all = [] {
    std::vector<at::Generator> made;
    for (int i = 0; i < most_devices; ++i)
      made.push_back(new_generator(i));
    return made;
  }();
  return all[std::size_t(index < 0 ? current_device() : index)];
}

const at::Generator& host_generator(const at::Generator& g) {
  return static_cast<CardGenerator*>(g.unsafeGetGeneratorImpl())->host;
}

// -------------------------------------------------------------------------------- guard and hooks

StreamOf stream_of(const Stream& stream) { return {stream.device_index(), stream.id()}; }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  Device exchangeDevice(Device device) const override {
    const Device before = getDevice();
    if (device.has_index() && device != before)
      setDevice(device);
    return before;
  }
  Device getDevice() const override { return {DeviceType::CUDA, DeviceIndex(current_device())}; }
  void setDevice(Device device) const override { set_device(device.index()); }
  void uncheckedSetDevice(Device device) const noexcept override { api.set_device(device.index()); }
  Stream getStream(Device device) const override {
    const int index = device.has_index() ? device.index() : current_device();
    return Stream(Stream::UNSAFE, Device(DeviceType::CUDA, DeviceIndex(index)),
                  current_stream(index));
  }
  Stream getDefaultStream(Device device) const override { return Stream(Stream::DEFAULT, device); }
  Stream getNewStream(Device device, int) const override {
    return Stream(Stream::UNSAFE, device, new_stream(device.index()));
  }
  Stream getStreamFromGlobalPool(Device device, bool) const override {
    return getNewStream(device, 0);
  }
  Stream exchangeStream(Stream stream) const override {
    const Stream before = getStream(stream.device());
    own_stream[std::size_t(stream.device_index())] = stream.id();
    return before;
  }
  void record(void** event, const Stream& stream, const DeviceIndex,
              const c10::EventFlag) const override {
    if (*event == nullptr)
      *event = new StreamOf;
    *static_cast<StreamOf*>(*event) = stream_of(stream);
  }
  void block(void* event, const Stream& stream) const override {
    // the host waits in place of the stream: what is before the event is done first either way
    if (event != nullptr && *static_cast<StreamOf*>(event) != stream_of(stream))
      catch_up(*static_cast<StreamOf*>(event));
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || !is_held(*static_cast<StreamOf*>(event));
  }
  void destroyEvent(void* event, const DeviceIndex) const noexcept override {
    delete static_cast<StreamOf*>(event);
  }
  DeviceIndex deviceCount() const noexcept override { return DeviceIndex(device_count); }
  bool queryStream(const Stream& stream) const override { return !is_held(stream_of(stream)); }
  void synchronizeStream(const Stream& stream) const override {
    refuse_in_capture("cudaStreamSynchronize");
    catch_up(stream_of(stream));
  }
  bool isStreamCapturing(const Stream& stream) const override {
    return capturing(stream_of(stream));
  }
  void synchronizeEvent(void* event) const override {
    refuse_in_capture("cudaEventSynchronize");
    if (event != nullptr)
      catch_up(*static_cast<StreamOf*>(event));
  }
  void synchronizeDevice(const DeviceIndex device) const override {
    refuse_in_capture("cudaDeviceSynchronize");
    catch_up_all(device);
  }
};

/// Pinned memory is memory of the host that is known.
struct Pinned final : c10::Allocator {
  std::mutex lock;
  std::map<const char*, std::size_t> ranges;

  static Pinned& one() {
    static auto& all = *new Pinned;
    return all;
  }
  c10::DataPtr allocate(std::size_t bytes) override {
    void* const p = std::malloc(std::max<std::size_t>(bytes, 1));
    const std::lock_guard guard(lock);
    ranges[static_cast<const char*>(p)] = bytes;
    return {p, p, release, c10::kCPU};
  }
  static void release(void* p) {
    {
      const std::lock_guard guard(one().lock);
      one().ranges.erase(static_cast<const char*>(p));
    }
    std::free(p);
  }
  c10::DeleterFnPtr raw_deleter() const override { return release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  bool holds(const void* p) {
    const std::lock_guard guard(lock);
    auto after = ranges.upper_bound(static_cast<const char*>(p));
    if (after == ranges.begin())
      return false;
    --after;
    return static_cast<const char*>(p) < after->first + std::max<std::size_t>(after->second, 1);
  }
};

struct CUDAHooks : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count > 0; }
  bool hasCUDA() const override { return device_count > 0; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return DeviceIndex(device_count); }
  int getNumGPUs() const override { return device_count; }
  DeviceIndex current_device() const override { return DeviceIndex(::current_device()); }
  DeviceIndex getCurrentDevice() const override { return current_device(); }
  void setCurrentDevice(DeviceIndex index) const override { set_device(index); }
  DeviceIndex exchangeDevice(DeviceIndex index) const override {
    const DeviceIndex before = current_device();
    set_device(index);
    return before;
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override {
    return exchangeDevice(index);
  }
  const at::Generator& getDefaultGenerator(DeviceIndex index) const override {
    return default_generator(index);
  }
  at::Generator getNewGenerator(DeviceIndex index) const override {
    const int device = index < 0 ? ::current_device() : index;
    return gives_defaults ? default_generator(device) : new_generator(device);
  }
  Device getDeviceFromPtr(void*) const override { return {DeviceType::CUDA, current_device()}; }
  bool isPinnedPtr(const void* p) const override { return Pinned::one().holds(p); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &Pinned::one(); }
  void deviceSynchronize(DeviceIndex index) const override { catch_up_all(index); }
};

// -------------------------------------------------------------------------------- the operators

/// Where torch takes a tensor of the host beside tensors of the GPU.
bool takes_both(const std::string& name) {
  static const std::set<std::string> names{"aten::copy_", "aten::_copy_from", "aten::set_data",
                                           "aten::_copy_from_and_resize"};
  return names.count(name) != 0;
}

bool takes_host_indices(const std::string& name) {
  static const std::set<std::string> names{"aten::index",         "aten::index_put_",
                                           "aten::index_put",     "aten::_index_put_impl_",
                                           "aten::_unsafe_index", "aten::_unsafe_index_put"};
  return names.count(name) != 0;
}

/// Where even a number of the host (0 axes) is refused.
bool refuses_host_numbers(const std::string& name) {
  for (const char* part :
       {"aten::cat", "aten::stack", "fused", "aten::mm", "aten::bmm", "addmm", "aten::convolution",
        "aten::embedding", "aten::index_select", "aten::gather", "aten::scatter", "_foreach",
        "group_norm", "layer_norm", "attention", "_fft", "aten::set_"})
    if (name.find(part) != std::string::npos)
      return true;
  return false;
}

/// What a GPU can only answer when its stream has come so far.
bool waits(const std::string& name) {
  static const std::set<std::string> names{
      "aten::_local_scalar_dense", "aten::equal",   "aten::nonzero",  "aten::is_nonzero",
      "aten::masked_select",       "aten::_unique", "aten::_unique2", "aten::unique_dim",
      "aten::repeat_interleave",   "aten::bincount"};
  return names.count(name) != 0;
}

/// Kernels that there are for the host alone.
void refuse_dtype(const std::string& name, const at::Tensor& t) {
  static const std::set<std::string> lacking{"aten::min",  "aten::max",     "aten::amin",
                                             "aten::amax", "aten::aminmax", "aten::bincount"};
  const at::ScalarType type = t.scalar_type();
  if ((type == at::kUInt16 || type == at::kUInt32 || type == at::kUInt64) && lacking.count(name))
    TORCH_CHECK_NOT_IMPLEMENTED(false, '"', name, "\" not implemented for '", type, "'");
}

struct Call {
  const c10::OperatorHandle& op;
  std::string name;
  int device = -1;                                               // of the tensors of the GPU
  std::unordered_map<c10::StorageImpl*, c10::Storage> alias_of;  // gpu -> host
  std::unordered_map<c10::StorageImpl*, at::Tensor> original_of; // host -> gpu
  std::vector<std::pair<at::Tensor, at::Tensor>> written;        // gpu, host
  std::vector<at::Tensor> outs;                                  // given to be written
  std::vector<std::string> hosts;                                // tensors of the host, if any
  bool host_number = false, host_index = false;

  explicit Call(const c10::OperatorHandle& o) : op(o), name(o.schema().name()) {}

  at::Tensor lower(const at::Tensor& t, bool writes, bool index) {
    if (!t.defined())
      return t;
    if (writes)
      outs.push_back(t);
    if (t.device().type() != DeviceType::CUDA) {
      if (t.dim() == 0 && !writes)
        host_number = true;
      else if (index && takes_host_indices(name))
        host_index = true;
      else
        hosts.push_back(t.device().str());
      return t;
    }
    TORCH_CHECK(device < 0 || device == t.device().index() || takes_both(name),
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:",
                device, " and cuda:", int(t.device().index()), "! (", name, ")");
    refuse_dtype(name, t);
    if (device < 0 || writes)
      device = t.device().index();
    c10::StorageImpl* impl = t.storage().unsafeGetStorageImpl();
    auto found = alias_of.find(impl);
    if (found == alias_of.end()) {
      c10::Storage alias = share(t.storage(), c10::kCPU, -1);
      original_of.emplace(alias.unsafeGetStorageImpl(), t);
      found = alias_of.emplace(impl, std::move(alias)).first;
    }
    at::Tensor host = with_storage(found->second, c10::DispatchKey::CPU, t);
    if (writes) {
      written.emplace_back(t, host);
    }
    return host;
  }

  IValue lower(const IValue& value, bool writes, bool index) {
    if (value.isTensor())
      return lower(value.toTensor(), writes, index);
    if (value.isTensorList()) {
      c10::List<at::Tensor> out;
      for (const at::Tensor& t : value.toTensorVector())
        out.push_back(lower(t, writes, index));
      return out;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> out;
      for (const std::optional<at::Tensor>& t : value.toOptionalTensorVector())
        out.push_back(t ? std::optional<at::Tensor>(lower(*t, writes, index)) : std::nullopt);
      return out;
    }
    if (value.isDevice() && value.toDevice().type() == DeviceType::CUDA) {
      const Device asked = value.toDevice();
      device = asked.has_index() ? asked.index() : current_device();
      TORCH_CHECK(device < device_count, "CUDA error: invalid device ordinal");
      return Device(DeviceType::CPU);
    }
    if (value.isGenerator() && value.toGenerator().defined()) {
      const at::Generator& g = value.toGenerator();
      TORCH_CHECK(g.device().type() == DeviceType::CUDA,
                  "Expected a 'cuda' device type for generator but found '", g.device().type(),
                  "'");
      return host_generator(g);
    }
    return value;
  }

  /// Whether a tensor of the host is memory of the GPU that was given.
  bool is_alias(const at::Tensor& t) const {
    return original_of.count(t.storage().unsafeGetStorageImpl()) != 0;
  }

  at::Tensor lift(const at::Tensor& t) {
    if (!t.defined())
      return t;
    if (t.device().type() == DeviceType::CUDA)
      return t;
    const auto found = original_of.find(t.storage().unsafeGetStorageImpl());
    if (found != original_of.end())
      return view_of(found->second, t);
    return on_card(t, device < 0 ? current_device() : device);
  }

  IValue lift(const IValue& value) {
    if (value.isTensor())
      return lift(value.toTensor());
    if (value.isTensorList()) {
      c10::List<at::Tensor> out;
      for (const at::Tensor& t : value.toTensorVector())
        out.push_back(lift(t));
      return out;
    }
    return value;
  }

  /// A written tensor that was resized on the host, or moved to other memory there.
  void settle() {
    for (auto& [gpu, host] : written) {
      c10::StorageImpl* there = gpu.storage().unsafeGetStorageImpl();
      const c10::Storage& here = host.storage();
      if (there->data() != here.data()) {
        const int index = gpu.device().index();
        there->set_data_ptr_noswap(c10::DataPtr(const_cast<void*>(here.data()),
                                                new Keeper(here, index), drop, gpu.device()));
        there->set_nbytes(here.nbytes());
      }
      if (gpu.sizes() != host.sizes() || gpu.strides() != host.strides())
        gpu.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides());
    }
  }
};

const c10::DispatchKeySet above_backends =
    c10::autograd_dispatch_keyset_with_ADInplaceOrView | c10::autocast_dispatch_keyset |
    c10::DispatchKeySet({c10::DispatchKey::Python, c10::DispatchKey::PythonTLSSnapshot,
                         c10::DispatchKey::PreDispatch});

void call_on_host(const c10::OperatorHandle& op, Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(above_backends);
  op.callBoxed(stack);
}

bool is_empty_factory(const std::string& name) {
  return name == "aten::empty" || name == "aten::empty_strided";
}

void collect(const IValue& value, std::vector<at::Tensor>& into) {
  if (value.isTensor() && value.toTensor().defined())
    into.push_back(value.toTensor());
  else if (value.isTensorList())
    for (const at::Tensor& t : value.toTensorVector())
      into.push_back(t);
}

/// Shapes and memory of the results now, what is in them when the stream gets there.
void run_later(Call& call, StreamOf stream, Stack& stack) {
  Stack kept;
  for (const IValue& value : stack) {
    kept.push_back(value);
    if (!value.isTensor() || !value.toTensor().defined() || call.is_alias(value.toTensor()))
      continue;
    const at::Tensor now = value.toTensor().clone(); // a number of the host is read now
    now.unsafeGetTensorImpl()->set_wrapped_number(
        value.toTensor().unsafeGetTensorImpl()->is_wrapped_number());
    kept.back() = now;
  }
  std::vector<std::pair<at::Generator, at::Tensor>> generators;
  for (const IValue& value : stack)
    if (value.isGenerator() && value.toGenerator().defined())
      generators.emplace_back(value.toGenerator(), value.toGenerator().get_state());
  std::map<void*, std::vector<char>> before;
  for (const auto& [gpu, host] : call.written) {
    auto* const first = static_cast<char*>(const_cast<void*>(gpu.storage().data()));
    before.emplace(first, std::vector<char>(first, first + gpu.storage().nbytes()));
  }
  call_on_host(call.op, &stack);
  for (const auto& [gpu, host] : call.written) { // integers may be indices of what follows
    const auto at = before.find(const_cast<void*>(gpu.storage().data()));
    const auto fresh = [](char byte) { return byte == char(0xFF); };
    if (at != before.end() && c10::isIntegralType(host.scalar_type(), true) &&
        std::all_of(at->second.begin(), at->second.end(), fresh))
      before.erase(at);
  }
  for (auto& [first, bytes] : before)
    std::memcpy(first, bytes.data(), bytes.size());
  for (const auto& [gpu, host] : call.written) { // an output that was resized
    if (gpu.storage().data() == host.storage().data())
      continue;
    TORCH_CHECK(gpu.storage().nbytes() == 0,
                "a tensor that holds something is resized in a "
                "capture or behind a sleep, which this emulation does not know");
    if (host.is_floating_point() || host.is_complex())
      std::memset(const_cast<void*>(host.storage().data()), 0xFF, host.storage().nbytes());
    if (capturing(stream))
      capture->graph->kept.push_back(host.storage());
  }
  const bool captured = capturing(stream);
  if (captured) // a replay draws what comes next
    for (auto& [generator, state] : generators)
      generator.set_state(state);

  std::vector<at::Tensor> fresh; // results in memory of their own
  bool makes = !call.written.empty();
  for (const IValue& value : stack)
    collect(value, fresh);
  for (const at::Tensor& t : fresh)
    if (!call.is_alias(t)) {
      makes = true;
      if (t.is_floating_point() || t.is_complex()) // integers may be indices of what follows
        std::memset(const_cast<void*>(t.storage().data()), 0xFF, t.storage().nbytes());
      if (capturing(stream))
        capture->graph->kept.push_back(t.storage());
    }
  if (!makes)
    return; // views
  enqueue(stream, [op = call.op, kept, fresh, captured, generators] {
    Stack again = kept;
    std::vector<at::Tensor> ahead; // generators are where the host has come to
    for (const auto& [generator, state] : generators)
      if (!captured) {
        ahead.push_back(generator.get_state());
        at::Generator(generator).set_state(state);
      }
    call_on_host(op, &again);
    for (std::size_t i = 0; i < ahead.size(); ++i)
      at::Generator(generators[i].first).set_state(ahead[i]);
    std::vector<at::Tensor> made;
    for (const IValue& value : again)
      collect(value, made);
    for (std::size_t i = 0; i < fresh.size(); ++i)
      if (fresh[i].storage().data() != made[i].storage().data() && fresh[i].numel() > 0)
        fresh[i].copy_(made[i]);
  });
}

void fallback(const c10::OperatorHandle& op, Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const std::size_t count = schema.arguments().size(), first = stack->size() - count;
  Call call(op);
  Stack lowered;
  lowered.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    const bool writes = argument.alias_info() && argument.alias_info()->isWrite();
    const bool index = argument.name() == "indices";
    lowered.push_back(call.lower((*stack)[first + i], writes, index));
  }
  const auto stream = [&] {
    const int index = call.device < 0 ? current_device() : call.device;
    return StreamOf{index, current_stream(index)};
  };
  bool waited = inside_work;
  const auto wait = [&](const std::string& what) {
    refuse_in_capture(what);
    catch_up(stream());
    waited = true;
  };
  if (!takes_both(call.name)) {
    TORCH_CHECK(call.hosts.empty(),
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:",
                call.device, " and ", call.hosts.front(), "! (", call.name, ")");
    TORCH_CHECK(!call.host_number || !refuses_host_numbers(call.name),
                "Expected all tensors to be on the same device, but found at least two devices, "
                "cuda:",
                call.device, " and cpu! (", call.name, ")");
    if (call.host_index)
      wait("an index on the host");
  } else if (!call.hosts.empty() || call.host_number) {
    wait("a copy between the host and the device");
  }
  if (waits(call.name))
    wait(call.name);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& argument = schema.arguments()[i].name();
    if (argument == "indices" && lowered[i].isOptionalTensorList())
      for (const std::optional<at::Tensor>& t : lowered[i].toOptionalTensorVector())
        if (t && t->defined() && t->scalar_type() == at::kBool)
          wait("an index that is a mask"); // it has as many results as it has ones
    // random numbers of the GPU come from separate generators
    if (argument == "generator" && lowered[i].isNone() && call.device >= 0)
      lowered[i] = host_generator(default_generator(call.device));
  }

  if (is_empty_factory(call.name) || waited || !(capturing(stream()) || is_held(stream()))) {
    call_on_host(op, &lowered);
    if (is_empty_factory(call.name)) {
      const at::Tensor& t = lowered[0].toTensor();
      std::memset(const_cast<void*>(t.storage().data()), 0xFF, t.storage().nbytes());
    }
  } else {
    run_later(call, stream(), lowered);
  }
  call.settle();

  // results: the very tensors that were given to be written, or views, or new ones
  std::vector<IValue> results;
  std::size_t next_out = 0;
  for (std::size_t i = 0; i < schema.returns().size(); ++i) {
    const c10::Argument& result = schema.returns()[i];
    if (result.alias_info() && result.alias_info()->isWrite()) {
      if (lowered[i].isTensor()) {
        results.emplace_back(call.outs.at(next_out++));
        continue;
      }
    }
    results.push_back(call.lift(lowered[i]));
  }
  stack->erase(stack->begin() + std::ptrdiff_t(first), stack->end());
  for (IValue& result : results)
    stack->push_back(std::move(result));
}

// --------------------------------------------------- operators that the fallback cannot serve

at::Tensor& set_storage(at::Tensor& self, c10::Storage source, c10::SymInt offset,
                        c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides) {
  TORCH_CHECK(source.device().type() == DeviceType::CUDA,
              "Attempted to set the storage of a tensor on device \"cuda\" to a storage on "
              "different device \"",
              source.device().str(), "\"");
  c10::TensorImpl* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset.expect_int());
  const auto n = C10_AS_INTARRAYREF_SLOW(sizes);
  std::vector<std::int64_t> s;
  if (strides.empty() && !n.empty()) {
    s.assign(n.size(), 1);
    for (std::size_t i = n.size() - 1; i > 0; --i)
      s[i - 1] = s[i] * n[i];
    impl->set_sizes_and_strides(n, s);
  } else {
    impl->set_sizes_and_strides(n, C10_AS_INTARRAYREF_SLOW(strides));
  }
  return self;
}

void record_stream(at::Tensor&, Stream) {}

std::int64_t choose_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              const std::optional<at::Tensor>&, double, bool, std::optional<double>,
                              bool) {
  return std::int64_t(sdp::SDPBackend::math);
}

at::Tensor alias_op(const at::Tensor& t) { return host_alias(t.detach()); }

at::Tensor card_op(const at::Tensor& t, std::int64_t device) { return on_card(t, int(device)); }

} // namespace

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  const auto boxed = [] { return torch::CppFunction::makeFromBoxedFunction<&fallback>(); };
  // their kernels for all devices look for one of CUDA inside
  for (const char* name : {"copy_", "convolution"})
    m.impl(name, boxed());
  m.impl("convolution_backward", boxed());
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("record_stream", record_stream);
  m.impl("_fused_sdp_choice", choose_attention);
}

TORCH_LIBRARY(emulated_cuda, m) {
  m.def("host_alias(Tensor t) -> Tensor");
  m.def("on_card(Tensor t, int device) -> Tensor");
}

TORCH_LIBRARY_IMPL(emulated_cuda, CompositeExplicitAutograd, m) {
  m.impl("host_alias", alias_op);
  m.impl("on_card", card_op);
}

namespace at {
namespace {
using ::CUDAHooks;
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, CUDAHooks)
} // namespace
} // namespace at

namespace {
C10_REGISTER_GUARD_IMPL(CUDA, Guard)
}

// -------------------------------------------------------------------------------- for Python:
// ctypes

extern "C" {

/// 0, or 1 where the library does not have the functions of api.hpp.
int em_attach(const char* path, int devices, std::int64_t bytes, int late) {
  void* const found = dlopen(path, RTLD_NOW);
  if (found == nullptr)
    return 1;
  bool all = true;
  const auto look = [&](auto*& function, const char* name) {
    const std::string full = std::string("emulated_cuda_") + name;
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(found, full.c_str()));
    all = all && function != nullptr;
  };
  look(api.get_device, "get_device");
  look(api.set_device, "set_device");
  look(api.register_allocation, "register_allocation");
  look(api.unregister_allocation, "unregister_allocation");
  look(api.register_stream, "register_stream");
  look(api.hold, "hold");
  look(api.synchronize, "synchronize");
  look(api.capture_begin, "capture_begin");
  look(api.capture_end, "capture_end");
  look(api.graph_launch, "graph_launch");
  look(api.graph_destroy, "graph_destroy");
  look(api.host_function, "host_function");
  device_count = devices;
  total_memory = bytes;
  always_late = late != 0;
  return all ? 0 : 1;
}

void em_give_defaults(int give) { gives_defaults = give != 0; }
/// Whatever has a kernel of the CPU gets one of the GPU, before what is composed for all devices.
void em_register() {
  static auto& kept = *new std::vector<c10::RegistrationHandleRAII>;
  c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
  for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
    const std::optional<c10::OperatorHandle> op = dispatcher.findSchema(name);
    if (!op || name.name.rfind("aten::", 0) != 0 ||
        !op->hasKernelForDispatchKey(c10::DispatchKey::CPU) ||
        op->hasKernelForDispatchKey(c10::DispatchKey::CUDA))
      continue;
    kept.push_back(dispatcher.registerImpl(name, c10::DispatchKey::CUDA,
                                           c10::KernelFunction::makeFromBoxedFunction<&fallback>(),
                                           std::nullopt, nullptr, "emulated CUDA"));
  }
}

int em_get_device() { return current_device(); }
int em_set_device(int index) { return api.set_device(index); }
std::int64_t em_current_stream(int device) { return current_stream(device); }
void em_set_stream(int device, std::int64_t stream) { own_stream[std::size_t(device)] = stream; }
std::int64_t em_new_stream(int device) { return new_stream(device); }
std::int64_t em_handle(std::int64_t stream) { return std::int64_t(handle_of(stream)); }
void em_hold(int device, std::int64_t stream) { hold({device, stream}); }
std::int64_t em_waited_for(int device, std::int64_t stream) {
  const std::lock_guard lock(lock_);
  return waited_for[{device, stream}];
}
int em_is_held(int device, std::int64_t stream) { return is_held({device, stream}); }

/// Waits for a stream, or for all (-1); 1: a capture forbids it, 2: what waited there failed.
int em_synchronize(int device, std::int64_t stream) {
  try {
    refuse_in_capture("synchronization");
  } catch (...) {
    return 1;
  }
  try {
    if (stream < 0)
      catch_up_all(device);
    else
      catch_up({device, stream});
  } catch (...) {
    return 2;
  }
  return 0;
}

std::int64_t em_memory(int device, int which) {
  const Memory& m = memory[std::size_t(device)];
  return which == 0 ? m.now.load() : which == 1 ? m.peak.load() : total_memory;
}
void em_reset_peak(int device) {
  Memory& m = memory[std::size_t(device)];
  m.peak = m.now.load();
}

int em_capture_begin(int device, std::int64_t stream) {
  const std::lock_guard lock(lock_);
  if (capture || stream == 0)
    return 1;
  capture = std::make_unique<Capture>();
  capture->graph = std::make_unique<Graph>();
  capture->stream = {device, stream};
  held.erase(capture->stream);
  api.synchronize(handle_of(stream));
  api.capture_begin(handle_of(stream));
  return 0;
}
int em_capturing(int device, std::int64_t stream) { return capturing({device, stream}); }

/// The graph; -1 where the capture is invalid.
std::int64_t em_capture_end() {
  const std::lock_guard lock(lock_);
  if (!capture)
    return -1;
  const std::unique_ptr<Capture> done = std::move(capture);
  done->graph->native = api.capture_end(handle_of(done->stream.second));
  if (!done->broken.empty())
    return -1;
  graphs[++graphs_made] = std::move(done->graph);
  return graphs_made;
}

int em_replay(std::int64_t graph, int device, std::int64_t stream) {
  std::shared_ptr<Graph> found;
  {
    const std::lock_guard lock(lock_);
    const auto at = graphs.find(graph);
    if (at == graphs.end())
      return 1;
    found = at->second;
  }
  is_held({device, stream});
  return api.graph_launch(found->native, handle_of(stream));
}

/// The process ends: nothing waits any more.
void em_close() {
  always_late = false;
  for (int device = 0; device < device_count; ++device)
    em_synchronize(device, -1);
}

void em_drop_graph(std::int64_t graph) {
  std::shared_ptr<Graph> last;
  std::vector<c10::Storage> dead;
  {
    const std::lock_guard lock(lock_);
    const auto at = graphs.find(graph);
    if (at == graphs.end())
      return;
    last = at->second;
    graphs.erase(at);
    if (graphs.empty() && !capture)
      dead.swap(graveyard);
  }
  catch_up_all(current_device());
}

} // extern "C"
