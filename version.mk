# SPDX-License-Identifier: GPL-2.0-only
# Included by every Makefile that installs something, for what all of them need. What has a version takes it from the file
# VERSION: programs, libraries, pkg-config files, manual pages, and the module (module/Kbuild).

VERSION	:= $(shell cat $(dir $(lastword $(MAKEFILE_LIST)))VERSION)

# A directory in a pkg-config file: below ${prefix} if it is below PREFIX, so that --define-prefix
# and a tree that was moved work.
in_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))

# Shell: install_page page directory, with the version as the operating system of mdoc's footer.
INSTALL_PAGE = install_page() { \
	sed 's/^\.Os$$/.Os cptdev $(VERSION)/' "$$1" >"$$2/$${1\#\#*/}" && chmod 644 "$$2/$${1\#\#*/}"; }
