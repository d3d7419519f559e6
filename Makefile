# One target for each chore. They need make and Python >= 3.11 with venv; `make doctor` names whatever is missing.

VENV ?= .venv
PYTHON_IN_VENV := $(VENV)/bin/python
READY := $(VENV)/.set-up
IMGUTILS_VENV := .venv-parity
IMGUTILS_READY := $(IMGUTILS_VENV)/.set-up
BENCH_READY := .work/bench/.set-up
SET_UP_FROM := requirements.txt requirements-dev.txt scripts/setup.sh scripts/ensure_mongo.py
ARGS ?=
# given NAME, --option: the option, when NAME was given to make itself; a variable of the shell is not meant
given = $(if $(filter command,$(origin $(1))),$(2) "$$$(1)")

export VENV
ifdef PYTHON
export PYTHON
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo app shell stop readme doctor check format test test-core test-adapters attacks parity card bench-setup bench

help: ## list the targets
	@echo "Group images by anime character in FiftyOne."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-20s %s\n", $$1, $$2 }'

setup: $(READY) ## create the environment in .venv; does nothing if it is up to date

$(READY): $(SET_UP_FROM)
	@scripts/setup.sh
	@touch $@

demo: $(READY) ## draw images and group them; or group yours, in your FiftyOne: IMAGES=folder DATASET=name MODEL=name
	@$(PYTHON_IN_VENV) -m demo.run $(call given,IMAGES,--images) $(call given,DATASET,--dataset) \
	  $(call given,MODEL,--model) $(if $(ARGS),-- $(ARGS))

app: $(READY) ## open the App on the last demo; PORT=5151
	@$(PYTHON_IN_VENV) -m demo.app $(call given,PORT,--port)

shell: $(READY) ## a shell with ccip and python on the dataset of the demo; ARGS="ccip models" runs one command
	@$(PYTHON_IN_VENV) -m demo.shell $(if $(ARGS),-- $(ARGS))

stop: ## stop the servers that demo and app have started
	@if [ -x $(PYTHON_IN_VENV) ]; then $(PYTHON_IN_VENV) -m demo.app stop; else echo "Nothing was started yet."; fi

readme: $(READY) ## pictures, figures and reference parts of the documentation; needs Chromium; ARGS=figures|pictures|reference
	@$(PYTHON_IN_VENV) docs/readme.py $(ARGS)

doctor: ## list everything that is missing on this machine
	@if [ -x $(PYTHON_IN_VENV) ]; then python=$(PYTHON_IN_VENV); else python=$$(scripts/find-python.sh) || exit 1; fi; \
	  $$python scripts/doctor.py

check: $(READY) ## formatting, lint, types; with Node also the sources and the bundle of the panel
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy -p ccip_plugin
	@scripts/check-ui.sh

format: $(READY) ## format the code
	$(PYTHON_IN_VENV) -m ruff format .
	$(PYTHON_IN_VENV) -m ruff check --fix .

test: check ## check, then all tests; ARGS="-k name" is passed to pytest
	$(PYTHON_IN_VENV) -m pytest $(ARGS)

test-core: $(READY) ## 2 minutes: quick tests without FiftyOne and browser
	$(PYTHON_IN_VENV) -m pytest --core $(ARGS)

test-adapters: $(READY) ## 10 minutes: quick tests on real datasets, without browser
	$(PYTHON_IN_VENV) -m pytest -m "mongo and not browser and not slow" $(ARGS)

attacks: $(READY) ## random kills, edits and malformed images with other seeds: SEED=7, SEED=1-10
	$(if $(filter command,$(origin SEED)),CCIP_ATTACK_SEED="$$SEED") $(PYTHON_IN_VENV) -m pytest -s tests/attacks $(ARGS)

parity: $(READY) $(IMGUTILS_READY) ## compare with dghs-imgutils (in .venv-parity); fails on a difference
	$(PYTHON_IN_VENV) -m parity.run $(ARGS)

$(IMGUTILS_READY): parity/requirements.txt parity/setup.sh $(READY)
	@parity/setup.sh $(IMGUTILS_VENV)
	@touch $@

card: $(READY) ## the table of the model card, from the published images and models; ARGS="--models NAME --out DIR"
	$(PYTHON_IN_VENV) benchmarks/card.py $(ARGS)

bench-setup: $(BENCH_READY) ## install what benchmarks need: dghs-imgutils, models with random weights, image files

$(BENCH_READY): $(IMGUTILS_READY) benchmarks/make_models.py benchmarks/common.py
	$(PYTHON_IN_VENV) benchmarks/extraction.py --prepare
	@touch $@

bench: $(BENCH_READY) ## measure speed and memory (an hour; ARGS=--quick 5 minutes); tables here, plots in .work/bench
	$(PYTHON_IN_VENV) benchmarks/extraction.py $(ARGS)
	$(PYTHON_IN_VENV) benchmarks/operations.py $(ARGS)
	$(PYTHON_IN_VENV) benchmarks/grouping.py $(ARGS)
ifeq ($(findstring --quick,$(ARGS)),)
	$(PYTHON_IN_VENV) benchmarks/fiftyone_overhead.py
	$(PYTHON_IN_VENV) benchmarks/extraction_memory.py
	$(PYTHON_IN_VENV) benchmarks/labels_memory.py
	$(PYTHON_IN_VENV) benchmarks/many_groups.py
	$(PYTHON_IN_VENV) benchmarks/edits.py
	$(PYTHON_IN_VENV) benchmarks/reviewer.py quality
	$(PYTHON_IN_VENV) benchmarks/reviewer.py quality --slips 0.01
	$(PYTHON_IN_VENV) benchmarks/reviewer.py quality --slips 0.03
	$(PYTHON_IN_VENV) benchmarks/reviewer.py random
	$(PYTHON_IN_VENV) benchmarks/reviewer.py speed
	$(PYTHON_IN_VENV) benchmarks/review_browser.py
	$(PYTHON_IN_VENV) benchmarks/review_browser.py --images 25000 --groups 5000
	$(PYTHON_IN_VENV) benchmarks/indexes.py
	$(PYTHON_IN_VENV) benchmarks/engine.py speed --tasks dbscan linkage kept
	$(PYTHON_IN_VENV) benchmarks/engine.py quality --sizes 2000 8000 --seeds 2 \
	  --methods linkage dbscan_2 dbscan dbscan_free hdbscan optics_cut optics_best
endif
