# SPDX-License-Identifier: GPL-2.0-only
#
# cptdev. "make help" lists the targets. The default is "all", which writes only to build/.
# A target that installs packages runs only if it is named.

include version.mk

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
# The set-up comes first. The makes below may use as many processors as "make -j" allows.
.NOTPARALLEL:

# The directory for everything that is built.
BUILD := $(CURDIR)/build
HARNESS := selftests/qemu

# Kernels: K='6.1 6.12', K=all; by default those of the table's group "default".
KERNELS_OF = $(shell awk '$$2 == "$(1)" {print $$1}' $(HARNESS)/kernels)
DEFAULT_KERNELS = $(call KERNELS_OF,default)
ALL_KERNELS = $(shell awk '!/^\#/ && NF {print $$1}' $(HARNESS)/kernels)
KERNELS = $(if $(K),$(if $(filter all,$(K)),$(ALL_KERNELS),$(K)),$(DEFAULT_KERNELS))

# Rooms of the user space: a room needs those before it. Each room has a Makefile that
# builds into O= and has the targets all, install and uninstall. If the room has unit
# tests, the target "unit" builds them into UNITDIR=.
ROOMS := libckdev daemon
BUILT_ROOMS = $(foreach room,$(ROOMS),$(if $(wildcard $(room)/Makefile),$(room)))

PREFIX ?= /usr/local
DESTDIR ?=
# Headers of the kernel that "make install" builds the module for.
KDIR ?= /lib/modules/$(shell uname -r)/build
# "no": only the user space
INSTALL_MODULE ?= yes
ROOM_ARGS = O=$(BUILD)/$* UNITDIR=$(BUILD)/unit DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)
UNIT_ROOMS = $(if $(BUILT_ROOMS),$(notdir $(patsubst %/Makefile,%,$(shell grep -l '^unit:' $(BUILT_ROOMS:%=%/Makefile)))))

##	all		build the programs and libraries for users into build/ (default)
all: needs $(BUILT_ROOMS:%=room-%)

# The libraries that these need: the name for pkg-config, and the Debian package. One message
# names everything that is missing. Without it, the compiler would name only the first header.
PKG_CONFIG ?= pkg-config
NEEDS := libmnl:libmnl-dev libxxhash:libxxhash-dev json-c:libjson-c-dev inih:libinih-dev \
	libsystemd:libsystemd-dev libssl:libssl-dev libzstd:libzstd-dev
needs:
	@missing=; \
	command -v $(CC) >/dev/null || missing+=' gcc'; \
	command -v $(PKG_CONFIG) >/dev/null || missing+=' pkg-config'; \
	for need in $(NEEDS); do \
		$(PKG_CONFIG) --exists "$${need%:*}" 2>/dev/null || missing+=" $${need#*:}"; \
	done; \
	[ -z "$$missing" ] || { \
		echo "make: packages are missing. Next: apt-get install$$missing" >&2; exit 1; }

room-%:
	@$(MAKE) -C $* $(ROOM_ARGS)

room-daemon: $(if $(wildcard libckdev/Makefile),room-libckdev)

##	tests		also build the tests, which need more packages (make setup)
tests: $(UNIT_ROOMS:%=tests-%) selftests

tests-%: room-%
	@$(MAKE) -C $* $(ROOM_ARGS) unit

# "make check-all" also needs twins of the unit tests, built with sanitizers.
ASAN_ROOMS = $(if $(BUILT_ROOMS),$(notdir $(patsubst %/Makefile,%,$(shell grep -l '^unit-asan:' $(BUILT_ROOMS:%=%/Makefile)))))
tests-all: tests $(ASAN_ROOMS:%=asan-%)

asan-%: tests-%
	@$(MAKE) -C $* $(ROOM_ARGS) unit-asan

##	setup		install packages, QEMU and kernels for building and testing (as root)
setup:
	@REFRESH=$(REFRESH) $(HARNESS)/setup $(KERNELS)

##	module		build cptdev.ko for each kernel [K=] [MUTANTS=1: with the tests' mutants]
module: $(KERNELS:%=module-%)

module-%:
	@$(HARNESS)/build-module $(if $(MUTANTS),-m) $*

selftests:
	@$(MAKE) -s -C selftests OUTPUT=$(BUILD)/obj/selftests INSTALL_PATH=$(BUILD)/selftests install
	@$(MAKE) -s -C selftests OUTPUT=$(BUILD)/obj/selftests COLLECTION=cptdev emit_tests \
		>$(BUILD)/selftests/kselftest-list.txt

# What guests of arm64 get. The tests are static; cptdevd, cptdevctl and libckdev take the libraries
# that set-up has unpacked for them.
ARM64_TESTS := smoke snapshot scan exact tables atomicity
ARM64_OBJ := $(BUILD)/obj/selftests-arm64
ARM64_ROOT = $(shell . $(HARNESS)/common.sh && sysroot_dir arm64)/usr
ARM64_LIB = lib/aarch64-linux-gnu
ARM64_ARGS = CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar \
	CPPFLAGS="-isystem $(ARM64_ROOT)/include -isystem $(ARM64_ROOT)/include/aarch64-linux-gnu" \
	LDFLAGS="-L$(ARM64_ROOT)/$(ARM64_LIB) -Wl,-rpath-link,$(ARM64_ROOT)/$(ARM64_LIB):$(ARM64_ROOT)/../$(ARM64_LIB)"
arm64: export PKG_CONFIG_LIBDIR = $(ARM64_ROOT)/$(ARM64_LIB)/pkgconfig
arm64:
	@test -d $(ARM64_ROOT) || { echo "make arm64: there are no libraries in $(ARM64_ROOT)." >&2; \
		echo "Next: make setup K=6.1-arm64" >&2; exit 1; }
	@$(MAKE) -s -C selftests OUTPUT=$(ARM64_OBJ) CROSS_COMPILE=aarch64-linux-gnu- USERLDFLAGS=-static \
		TEST_GEN_PROGS="$(ARM64_TESTS:%=$(ARM64_OBJ)/%)" TEST_GEN_PROGS_EXTENDED=$(ARM64_OBJ)/ledger \
		TEST_GEN_FILES= TEST_PROGS= TEST_FILES= INSTALL_PATH=$(BUILD)/arm64/selftests install
	@$(MAKE) -C libckdev O=$(BUILD)/arm64/libckdev $(ARM64_ARGS) lib
	@$(MAKE) -C daemon O=$(BUILD)/arm64/daemon UNITDIR=$(BUILD)/arm64/unit $(ARM64_ARGS)

# Tests: selftests/qemu/check selects the tests and the kernels of a tier. K= and T= select from
# all kernels and tests.
CHECK = K="$(K)" $(HARNESS)/check

##	check-quick	test the module's main calls on one kernel: minutes [T=test] [K=kernel]
check-quick: KERNELS := $(if $(K),$(KERNELS),$(firstword $(KERNELS)))
check-quick: setup
	@CPTDEV_TIER=quick $(CHECK)

##	check		run the tests that a change must pass: 25 minutes [T=] [K=] [J=guests at once]
check: setup
	@CPTDEV_TIER=check $(CHECK)

##	check-all	run every test on every kernel, also on debug kernels: hours [T=] [K=] [J=]
check-all: KERNELS := $(if $(K),$(KERNELS),$(KERNELS) $(call KERNELS_OF,debug) $(call KERNELS_OF,foreign))
check-all: setup
	@CPTDEV_TIER=all $(CHECK)

##	torture		move a database from failure to failure: two Debian hosts, then three hosts [N=1000] [SEED=] [T=]
torture: setup
	@T="$(or $(T),twohost/swap-units twohost/swap-three)" SWAPS=$(or $(N),1000) CPTDEV_LENGTH=soak $(CHECK)

##	soak		run tests with ten times as many repetitions: hours [T=] [K=] [J=]
soak: setup
	@CPTDEV_TIER=all CPTDEV_LENGTH=soak K="$(KERNELS)" $(HARNESS)/check

##	check-debug	run all tests in full length, on one debug kernel: a night [T=] [K=]
check-debug:
	@$(MAKE) check-all K="$(or $(K),$(firstword $(call KERNELS_OF,debug)))"

##	unit		run only the unit tests of the user space
unit:
	@$(MAKE) check T=unit K=$(firstword $(KERNELS))

##	lint		run only the checks of the source
lint:
	@$(MAKE) check T=host/lint K=$(firstword $(KERNELS))

##	vm		start a shell in a guest [K=kernel] [T=test whose settings the guest gets]
vm: setup all tests module
	@$(HARNESS)/shell $(firstword $(KERNELS)) $(T)

##	demo		kill a working host, and lose nothing [SEED=] [K=kernel]
demo: KERNELS := $(firstword $(KERNELS))
demo:
	@$(MAKE) setup K="$(sort $(KERNELS) $(KERNEL_B))"
	@$(MAKE) all module K="$(sort $(KERNELS) $(KERNEL_B))"
	@K=$(KERNELS) selftests/demo/run

##	demo-tetris	kill the host of a game twice, and continue the game [SEED=] [K=kernel]
demo-tetris: KERNELS := $(firstword $(KERNELS))
demo-tetris:
	@$(MAKE) setup K="$(sort $(KERNELS) $(KERNEL_B))"
	@$(MAKE) all module K="$(sort $(KERNELS) $(KERNEL_B))"
	@K=$(KERNELS) selftests/demo/tetris

##	demo-sqlite	kill the host of an in-memory database [SEED=] [K=kernel] [PACKAGES=]
demo-sqlite: KERNELS := $(firstword $(KERNELS))
demo-sqlite:
	@$(MAKE) setup K="$(sort $(KERNELS) $(KERNEL_B))"
	@$(MAKE) all module K="$(sort $(KERNELS) $(KERNEL_B))"
	@K=$(KERNELS) selftests/demo/sqlite

##	demo-redis	kill the host of redis-server as it is; its connections go on [SEED=] [K=kernel] [CLIENTS=]
demo-redis: KERNELS := $(firstword $(KERNELS))
demo-redis:
	@$(MAKE) setup K="$(sort $(KERNELS) $(KERNEL_B))"
	@$(MAKE) all module K="$(sort $(KERNELS) $(KERNEL_B))"
	@$(MAKE) -C libckdev O=$(BUILD)/libckdev tests
	@K=$(KERNELS) selftests/demo/redis

##	bench		measure the costs, in guests that count instructions [K=] [METHODS=]
bench: setup all selftests module
	@$(MAKE) -C libckdev O=$(BUILD)/libckdev bench
	@selftests/bench/run

##	bench-scale	measure 1,000 sessions and 16 spares, on this machine itself
bench-scale: all
	@$(MAKE) -C daemon O=$(BUILD)/daemon UNITDIR=$(BUILD)/unit $(BUILD)/unit/daemon-scale
	@selftests/bench/scale

##	install		install everything [PREFIX=] [DESTDIR=] [KDIR=] [INSTALL_MODULE=no]
install: $(if $(filter yes,$(INSTALL_MODULE)),module-of-kdir) all $(BUILT_ROOMS:%=install-%) \
		install-uapi install-man $(if $(filter yes,$(INSTALL_MODULE)),install-module)
	$(if $(DESTDIR),,ldconfig)

# Most failures occur here, before the first file is installed.
module-of-kdir:
	@test -e $(KDIR)/Makefile || { \
		echo "make install: no kernel headers in $(KDIR); nothing was installed." >&2; \
		echo "Next: install the headers (Debian: apt-get install linux-headers-$$(uname -r))," >&2; \
		echo "or name those of another kernel with KDIR=, or leave the module out: INSTALL_MODULE=no." >&2; \
		exit 1; }
	@$(MAKE) -C module KDIR=$(KDIR) modules

install-%: room-%
	@$(MAKE) -C $* $(ROOM_ARGS) install

install-uapi:
	install -d $(DESTDIR)$(PREFIX)/include/linux
	install -m 644 uapi/linux/*.h $(DESTDIR)$(PREFIX)/include/linux/

# The manual pages of the kernel's part. The rooms install their own pages.
MAN := $(wildcard Documentation/man/man4/*.4)
install-man:
	@$(INSTALL_PAGE); for page in $(MAN); do \
		install -d $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} && \
		install_page $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} || exit; \
	done

install-module: module-of-kdir
	@$(MAKE) -C module KDIR=$(KDIR) INSTALL_MOD_PATH=$(DESTDIR) modules_install

##	uninstall	remove all installed files, and the module for every kernel [as install]
uninstall: $(BUILT_ROOMS:%=uninstall-%) $(if $(filter yes,$(INSTALL_MODULE)),uninstall-module)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/include/linux/,$(notdir $(wildcard uapi/linux/*.h)))
	@for page in $(MAN); do \
		rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done
	$(if $(DESTDIR),,ldconfig)

# Kbuild installs the module in extra until 6.2, and in updates since.
uninstall-module:
	@shopt -s nullglob; \
	for ko in $(DESTDIR)/lib/modules/*/{extra,updates}/cptdev.ko*; do \
		dir=$${ko%/*}; \
		rm -f "$$ko"; \
		rmdir --ignore-fail-on-non-empty "$$dir"; \
		$(if $(DESTDIR),:,depmod "$$(basename "$${dir%/*}")"); \
	done
	$(if $(DESTDIR),,@test ! -e /sys/module/cptdev || \
		echo "  NOTE	The module is still loaded. When no program uses it any more: rmmod cptdev")

uninstall-%:
	@$(MAKE) -C $* $(ROOM_ARGS) uninstall

##	docs		make HTML of the documentation in build/docs/
docs:
	@for tool in sphinx-build dot mandoc; do command -v $$tool >/dev/null || { \
		echo "make docs: there is no $$tool." >&2; \
		echo "Next: install Sphinx, Graphviz and mandoc (Debian: apt-get install python3-sphinx graphviz mandoc)." >&2; \
		exit 1; }; done
	@rm -rf $(BUILD)/docs
	@sphinx-build -q -E -W --keep-going -b html -d $(BUILD)/obj/docs Documentation $(BUILD)/docs
	@echo "  DOCS	build/docs/index.html"

##	deb		build the Debian packages into build/deb/ [JOBS=]
deb:
	@daemon/packaging/build

##	clean		remove build/
clean:
	rm -rf $(BUILD)

##	help		print this list
help:
	@sed -n 's/^##\t/  /p' $(MAKEFILE_LIST)

.PHONY: all tests tests-all setup module selftests arm64 check check-quick check-all check-debug torture soak unit lint vm demo demo-sqlite demo-tetris demo-redis \
	bench bench-scale docs install uninstall deb clean help needs \
	install-uapi install-man install-module module-of-kdir uninstall-module
