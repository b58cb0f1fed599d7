# The kgrec command with its text model inside: needs no network at run time.
FROM python:3.11-slim

WORKDIR /opt/kgrec
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY kgrec kgrec
COPY graph_schema graph_schema
RUN pip install --no-cache-dir --constraint constraints.txt '.[offline,serve]'

ENV HF_HUB_OFFLINE=1 KGREC_CACHE=/var/cache/kgrec
RUN useradd --create-home kgrec && install --directory --owner kgrec /var/cache/kgrec /work
USER kgrec
WORKDIR /work
ENTRYPOINT ["kgrec"]
CMD ["--help"]
