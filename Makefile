# Millrace. GNU make.
#
#   make deps       installs what is missing (apt)
#   make            builds the programs and the plug-ins into bin/; that of CUDA only
#                   where the toolkit (nvcc), cuDNN 9 and NCCL are: CUDA=/usr/local/cuda
#   make demo       trains, evaluates and averages a small network on real images
#   make check      runs the tests; SAN=1: under the address and undefined sanitizers,
#                   TSAN=1: under that of threads
#   make check-gpu  likewise on an NVIDIA GPU
#   make bench      prints ratios against other software (needs make interop once)
#   make install    PREFIX, DESTDIR as usual
#   make bundle     one tar that runs where nothing is installed; bundle-gpu: and checks a
#                   GPU there (its check-gpu)
#
# CC=clang, SAN=1, TSAN=1 and ONEDNN= build into folders of their own (build-clang/, ...).

PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g
WERROR ?=
comma := ,

# Another oneDNN than the system's: a folder with its include/ and lib/.
ONEDNN ?=
KIND := $(if $(SAN),-san)$(if $(TSAN),-tsan)$(if $(ONEDNN),-$(notdir $(ONEDNN)))$(if $(filter-out gcc,$(notdir $(CC))),-$(notdir $(CC)))
BUILD := build$(KIND)
BIN := $(if $(KIND),$(BUILD)/bin,bin)
SANITIZE := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer) \
	$(if $(TSAN),-fsanitize=thread)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(WERROR),-Werror)
override CPPFLAGS += -Ilib -I$(BUILD)/gen -D_GNU_SOURCE
ALL_CFLAGS := -std=c11 -fPIC -pthread $(WARN) $(CFLAGS) $(SANITIZE)
EXACT := -ffp-contract=off

PROGRAMS := $(patsubst bin/%.c,$(BIN)/%,$(wildcard bin/*.c))
# The CUDA plug-in is built where the toolkit and cuDNN are.
CUDA ?= /usr/local/cuda
NVCC ?= $(firstword $(wildcard $(CUDA)/bin/nvcc) $(shell command -v nvcc 2>/dev/null))
HAVE_CUDA := $(if $(TSAN)$(SAN),,$(and $(NVCC),$(wildcard $(CUDA)/include/cudnn.h),\
	$(wildcard $(CUDA)/include/nccl.h),$(wildcard $(CUDA)/lib64/libcudart_static.a)))
# That of MPI where its compiler is.
MPICC ?= mpicc
HAVE_MPI := $(shell command -v $(MPICC) 2>/dev/null)
PLUGINS := $(BIN)/millrace-cpu.so $(if $(HAVE_CUDA),$(BIN)/millrace-cuda.so) \
	$(if $(HAVE_MPI),$(BIN)/millrace-mpi.so)
LAYERS := base data net dev dev/ref train cli
OBJECTS := $(patsubst lib/%.c,$(BUILD)/%.o,$(wildcard $(LAYERS:%=lib/%/*.c))) $(BUILD)/gen/example.pb-c.o
CPU_OBJECTS := $(patsubst lib/%.c,$(BUILD)/%.o,$(wildcard lib/dev/cpu/*.c))
CUDA_OBJECTS := $(patsubst lib/%.c,$(BUILD)/%.o,$(wildcard lib/dev/cuda/*.c))
# What programs that open it may not have.
CUDA_BASE := $(BUILD)/base/io.o
# No compiler of ours makes them: one for all kinds of build.
KERNELS := $(if $(KIND),build,$(BUILD))/dev/cuda/kernels.cu.o

# What each program links besides the C library; all others only $(LIBS).
LIBS := -lisal -ljansson -lm
IMAGE_LIBS := -ljpeg -lpng
NET_LIBS := -ldl -lm
tfrec-pack-LIBS := $(IMAGE_LIBS) -lprotobuf-c -larchive -lz
tfrec-cat-LIBS := $(IMAGE_LIBS) -lprotobuf-c -lz
tfrec-ls-LIBS := $(IMAGE_LIBS) -lprotobuf-c -lz
img-augment-LIBS := $(IMAGE_LIBS) -lm
batch-cat-LIBS := $(IMAGE_LIBS) -lm
net-train-LIBS := $(NET_LIBS)
net-eval-LIBS := $(NET_LIBS)
net-cat-LIBS := $(NET_LIBS)
ckpt-avg-LIBS := -lm
ckpt-cat-LIBS := -lm
log-plot-LIBS := -lm
# Libraries of a bundle, for the program and (as rpath, not runpath) for what it opens.
BUNDLED := -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/../lib/millrace'
# Programs that open device plug-ins lend them their own symbols.
DEVICE_PROGRAMS := net-train net-eval net-cat


.PHONY: all deps demo check print-build print-bin bench interop bundle bundle-gpu install uninstall clean
.DELETE_ON_ERROR:
all: $(PROGRAMS) $(PLUGINS)

$(BUILD)/%.o: lib/%.c | $(BUILD)/gen/example.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(EXACT) -MMD -MP -c -o $@ $<

$(CPU_OBJECTS): EXACT := -O3
$(filter $(BUILD)/dev/cpu/kernels_%,$(CPU_OBJECTS)): EXACT := -O3 -ffp-contract=fast
$(CPU_OBJECTS): override CPPFLAGS += $(ONEDNN:%=-isystem %/include)
$(BUILD)/dev/ref/%.o: EXACT := -O3 -ffp-contract=off

$(BUILD)/bin-%.o: bin/%.c | $(BUILD)/gen/example.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(EXACT) -MMD -MP -c -o $@ $<

$(BUILD)/lib.a: $(OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(PROGRAMS): $(BIN)/%: $(BUILD)/bin-%.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Wl,--as-needed $(if $(filter $*,$(DEVICE_PROGRAMS)),-rdynamic) \
		$(BUNDLED) -o $@ $^ $($*-LIBS) $(LIBS)

# What it has itself a plug-in does not take from the program, whatever else has that name.
PLUGIN := -shared -Wl,-Bsymbolic
# The plug-in borrows base and the host side of devices from the program that opens it.
$(BIN)/millrace-cpu.so: $(CPU_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(PLUGIN) $(if $(ONEDNN),-L$(ONEDNN)/lib -Wl$(comma)-rpath$(comma)$(ONEDNN)/lib) \
		-o $@ $^ -ldnnl -lgomp -lm

# Likewise; mpicc knows MPI's folders, and calls our compiler.
$(BIN)/millrace-mpi.so: lib/dev/mpi/mpi.c lib/dev/transport.h
	@mkdir -p $(@D)
	OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC) -Ilib -D_GNU_SOURCE $(ALL_CFLAGS) $(LDFLAGS) \
		$(PLUGIN) -o $@ $<

# Likewise. cuDNN and NCCL are opened at run time, so that it loads where they are not.
CUDA_FLAGS := -isystem $(CUDA)/include -DCUDA_LIBS='"$(CUDA)/lib64"'
$(CUDA_OBJECTS): override CPPFLAGS += $(CUDA_FLAGS)
KERNEL_SOURCES := lib/dev/cuda/kernels.cu $(wildcard lib/dev/cuda/*.cuh lib/dev/cuda/kernels.h)
$(KERNELS): $(KERNEL_SOURCES)
	@mkdir -p $(@D)
	$(NVCC) -std=c++17 -O3 -Ilib -gencode arch=compute_80,code=compute_80 \
		-gencode arch=compute_90,code=sm_90 -Xcompiler -fPIC,-Wall,-fno-exceptions -c -o $@ $<
CUDA_LINK := $(CUDA)/lib64/libcudart_static.a -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic -ldl -lrt -lm
$(BIN)/millrace-cuda.so: $(CUDA_OBJECTS) $(CUDA_BASE) $(KERNELS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(PLUGIN) -o $@ $^ $(CUDA_LINK)

$(BUILD)/gen/example.pb-c.c $(BUILD)/gen/example.pb-c.h &: lib/data/example.proto
	@mkdir -p $(BUILD)/gen
	protoc-c --proto_path=lib/data --c_out=$(BUILD)/gen $<

$(BUILD)/gen/example.pb-c.o: $(BUILD)/gen/example.pb-c.c
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

deps:
	@sh tests/deps

demo: deps all
	@sh examples/demo.sh

check:
	@CC='$(CC)' SAN='$(SAN)' TSAN='$(TSAN)' ONEDNN='$(ONEDNN)' sh tests/run

# For tests/run: where this kind of build lives.
print-build:
	@echo $(BUILD)
print-bin:
	@echo $(BIN)

interop:
	@sh tests/interop/run

bench: all
	@sh tests/bench/run

# Unit tests: tests/unit/x.c becomes $(BUILD)/tests/x; what they share is in tests/ops.
UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c))
units: $(UNITS) $(if $(HAVE_CUDA),$(BUILD)/emulated/millrace-cuda.so $(BUILD)/bench/fused \
	$(BUILD)/tests/cuda-host)
.PHONY: units
SHARED_TESTS := $(patsubst tests/ops/%.c,$(BUILD)/ops-%.o,$(wildcard tests/ops/*.c))
$(BUILD)/ops-%.o: tests/ops/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(EXACT) -Itests -MMD -MP -c -o $@ $<
$(BUILD)/tests.a: $(SHARED_TESTS)
	@rm -f $@
	$(AR) rcs $@ $^
$(UNITS): $(BUILD)/tests/%: tests/unit/%.c $(BUILD)/tests.a $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(EXACT) $(LDFLAGS) -Itests -rdynamic -MMD -MP -o $@ $< \
		$(BUILD)/tests.a $(BUILD)/lib.a \
		-Wl,--as-needed $(IMAGE_LIBS) -lprotobuf-c -larchive -lz $(NET_LIBS) $(LIBS) -lcmocka

# Timing drivers for developers: make build/bench/step.
$(BUILD)/bench/%: tests/bench/%.c $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -rdynamic -o $@ $< $(BUILD)/lib.a $(NET_LIBS) $(LIBS)

# The CUDA plug-in with its kernels as loops of the host, cuDNN's and NCCL's part by
# plain code: for tests, with sanitizers too. SAN=1 make emulated.
EMULATED := $(BUILD)/emulated/millrace-cuda.so
EMULATED_FLAGS := $(CUDA_FLAGS) -Itests/cuda -O1 -g -fPIC -pthread $(SANITIZE)
EMULATED_OBJECTS := $(patsubst lib/dev/cuda/%.c,$(BUILD)/emulated/%.o, \
	$(filter-out %/dnn.c %/dnn_graph.c %/vendor.c,$(wildcard lib/dev/cuda/*.c)))
.PHONY: emulated check-gpu
emulated: $(EMULATED)
$(BUILD)/emulated/%.o: lib/dev/cuda/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 $(WARN) $(EMULATED_FLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/emulated/%.cc.o: tests/cuda/%.cc tests/cuda/emulate.h lib/dev/cuda/dnn.h
	@mkdir -p $(@D)
	g++ $(CPPFLAGS) -std=c++17 -Wall $(EMULATED_FLAGS) -c -o $@ $<
$(BUILD)/emulated/kernels.cu.o: $(KERNEL_SOURCES) tests/cuda/emulate.h
	@mkdir -p $(@D)
	g++ $(CPPFLAGS) -std=c++17 -Wall -Wno-unknown-pragmas $(EMULATED_FLAGS) \
		-include tests/cuda/emulate.h -x c++ -c -o $@ $<
$(EMULATED): $(EMULATED_OBJECTS) $(CUDA_BASE) $(BUILD)/emulated/kernels.cu.o \
		$(patsubst tests/cuda/%.cc,$(BUILD)/emulated/%.cc.o,$(wildcard tests/cuda/*.cc))
	g++ $(SANITIZE) $(PLUGIN) -o $@ $^ -pthread

# For a machine with an NVIDIA GPU.
check-gpu: all units
	@BUILD='$(abspath $(BUILD))' BIN='$(abspath $(BIN))' sh tests/cuda/gpu

$(BUILD)/tests/cuda-host: tests/cuda/host.c
$(BUILD)/bench/fused: tests/bench/fused.c
$(BUILD)/tests/cuda-host $(BUILD)/bench/fused: $(CUDA_OBJECTS) $(KERNELS) $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CUDA_FLAGS) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(CUDA_LINK) $(LIBS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/millrace $(DESTDIR)$(PREFIX)/share/millrace/zoo
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(PLUGINS) $(DESTDIR)$(PREFIX)/lib/millrace
	install -m 644 lib/zoo/names lib/zoo/*.net $(DESTDIR)$(PREFIX)/share/millrace/zoo
	for p in man/*.[157]; do d=$(DESTDIR)$(PREFIX)/share/man/man$${p##*.}; \
		install -d $$d && install -m 644 $$p $$d || exit 1; done

# One tar for machines where nothing is installed: what `install` puts in place and all
# libraries but the C library's, with their licences, and MPI, which must be that of the
# machine's mpirun. It runs from any folder.
BUNDLE := millrace-$(shell uname -m)
bundle: all
	@sh tests/bundle '$(BUILD)' '$(BUNDLE)' $(PROGRAMS) $(filter-out %-mpi.so,$(PLUGINS))

# With what check-gpu runs, for a machine with a GPU where nothing can be built.
bundle-gpu: all units
	@CHECKS='$(filter $(BUILD)/tests/ops-%,$(UNITS)) $(BUILD)/tests/cuda-host' \
		sh tests/bundle '$(BUILD)' '$(BUNDLE)-gpu' $(PROGRAMS) $(PLUGINS)

uninstall:
	rm -f $(PROGRAMS:$(BIN)/%=$(DESTDIR)$(PREFIX)/bin/%)
	rm -rf $(DESTDIR)$(PREFIX)/lib/millrace $(DESTDIR)$(PREFIX)/share/millrace
	for p in man/*.[157]; do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p#man/}; done

clean:
	rm -rf build build-* demo $(patsubst bin/%.c,bin/%,$(wildcard bin/*.c)) bin/*.so

-include $(OBJECTS:.o=.d) $(CPU_OBJECTS:.o=.d) $(CUDA_OBJECTS:.o=.d) $(EMULATED_OBJECTS:.o=.d) $(PROGRAMS:$(BIN)/%=$(BUILD)/bin-%.d) $(UNITS:=.d) $(SHARED_TESTS:.o=.d)
