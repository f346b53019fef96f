# Two images: the official PostgreSQL with q3c, and xcat itself with the programs of PostgreSQL that make backups.
FROM postgres:17-trixie AS database
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-17-q3c \
    && rm -rf /var/lib/apt/lists/*
COPY docker/reader.sh /docker-entrypoint-initdb.d/

FROM python:3.12-slim-trixie AS xcat
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/xcat
COPY pyproject.toml README.md ./
COPY alembic alembic
COPY sql sql
COPY xcat xcat
RUN pip install --no-cache-dir .
WORKDIR /data
ENTRYPOINT ["xcat"]
CMD ["db", "status"]
