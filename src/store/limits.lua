-- limits.lua - one key's requests, tokens and money, counted for all gateways (reference 4.2).
--
-- KEYS[1]  windows: the second they stand at, that second's bucket, and for requests and for tokens
--          a sum and a ring of 61 buckets of 32 bits; what store/limits_window.c keeps in process
-- KEYS[2]  reservations: id -> when it is given back by time, in ms
-- KEYS[3]  the money of one period, where the key has a budget: S spent, R reserved, H and T of
--          heal(), and what each reservation holds
-- ARGV[1]  reserve, money or settle; ARGV[2] the reservation's id; ARGV[3] how long it lasts, in ms
--
-- Everything is decided before anything is written: a script ends whole or changes nothing. Sums of
-- money are added by HINCRBY, so they stay whole numbers of 64 bits; what is only compared may be a
-- double.

local operation, id, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms, second = math.floor(now_us / 1000), math.floor(now_us / 1000000)

-- ---- windows ----

local SECONDS, STEP_BACK_MAX, WINDOW_MS = 61, 5, 62000
local HEAD, HEAD_BYTES, RING_BYTES = '<I8I4I8I8', 28, 4 * 61
local REQUESTS, TOKENS = 1, 2

local windows

local function bucket_of(kind, at)
    return (struct.unpack('<I4', windows.rings[kind], 4 * at + 1))
end

local function set_bucket(kind, at, value)
    local ring = windows.rings[kind]
    windows.rings[kind] = ring:sub(1, 4 * at) .. struct.pack('<I4', value) .. ring:sub(4 * at + 5)
end

local function move()
    local steps = second - windows.second
    if steps <= 0 then
        -- The clock was set back. A little: time stands still here until it has caught up. More:
        -- what was counted keeps its age. Either way nothing is admitted twice.
        if steps < -STEP_BACK_MAX then windows.second = second end
        return
    end
    for _ = 1, steps do
        windows.at = (windows.at + 1) % SECONDS
        for kind = REQUESTS, TOKENS do
            local gone = bucket_of(kind, windows.at)
            if gone > 0 then
                windows.sums[kind] = windows.sums[kind] - gone
                set_bucket(kind, windows.at, 0)
            end
        end
    end
    windows.second = second
end

local function load_windows()
    local kept = redis.call('GET', KEYS[1])
    if kept and #kept == HEAD_BYTES + 2 * RING_BYTES then
        local was, at, requests, tokens = struct.unpack(HEAD, kept)
        if second - was < SECONDS and at < SECONDS then
            windows = {second = was, at = at, sums = {requests, tokens}, rings = {
                kept:sub(HEAD_BYTES + 1, HEAD_BYTES + RING_BYTES),
                kept:sub(HEAD_BYTES + RING_BYTES + 1)}}
            move()
            return
        end
    end
    local empty = string.rep('\0', RING_BYTES)
    windows = {second = second, at = 0, sums = {0, 0}, rings = {empty, empty}}
end

local function save_windows()
    redis.call('SET', KEYS[1], struct.pack(HEAD, windows.second, windows.at, windows.sums[REQUESTS],
        windows.sums[TOKENS]) .. windows.rings[REQUESTS] .. windows.rings[TOKENS], 'PX', WINDOW_MS)
end

local function add(kind, amount)
    local count = bucket_of(kind, windows.at)
    amount = math.min(amount, 4294967295 - count)
    set_bucket(kind, windows.at, count + amount)
    windows.sums[kind] = windows.sums[kind] + amount
end

-- Takes back what was added in that second, as far as it is still inside.
local function take_back(kind, from, amount)
    local age = math.max(windows.second - from, 0)
    if age >= SECONDS then return end
    local at = (windows.at - age) % SECONDS
    local count = bucket_of(kind, at)
    amount = math.min(amount, count)
    set_bucket(kind, at, count - amount)
    windows.sums[kind] = windows.sums[kind] - amount
end

-- When the bucket of that age leaves the window.
local function leaves_us(age)
    return (windows.second - age + SECONDS) * 1000000
end

-- When so much more will fit if nothing else happens; nil: never.
local function fits_us(kind, amount, limit)
    if amount > limit then return nil end
    local sum = windows.sums[kind]
    if sum + amount <= limit then return now_us end
    for age = SECONDS - 1, 0, -1 do
        sum = sum - bucket_of(kind, (windows.at - age) % SECONDS)
        if sum + amount <= limit then return leaves_us(age) end
    end
end

local function ms_until(us)
    return us <= now_us and 0 or math.floor((us - now_us + 999) / 1000)
end

local function ms_until_empty(kind)
    for age = 0, SECONDS - 1 do
        if bucket_of(kind, (windows.at - age) % SECONDS) > 0 then
            return ms_until(leaves_us(age))
        end
    end
    return 0
end

-- ---- money ----

local function add_money(field, amount)
    if tonumber(amount) ~= 0 then redis.call('HINCRBY', KEYS[3], field, amount) end
end

-- What this reservation holds is free again.
local function give_back(reservation)
    local held = redis.call('HGET', KEYS[3], reservation)
    if held then
        redis.call('HDEL', KEYS[3], reservation)
        add_money('R', '-' .. held)
    end
end

local function give_back_by_time()
    local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms, 'LIMIT', 0, 100)
    if #gone == 0 then return end
    if KEYS[3] then
        for _, reservation in ipairs(gone) do give_back(reservation) end
    end
    redis.call('ZREM', KEYS[2], unpack(gone))
end

-- The asking gateway knows that at least `floor` was spent: from the request log, and by its own
-- requests. Where less is counted here, Redis has lost something, or a settlement is on its way: H
-- is how much of what was reserved up to T is counted already and is not to be counted again.
local function heal(floor, ttl)
    local spent = tonumber(redis.call('HGET', KEYS[3], 'S') or '-1')
    if tonumber(floor) > spent then
        local more = tonumber(floor) - math.max(spent, 0)
        local before = tonumber(redis.call('HGET', KEYS[3], 'H') or '0')
        redis.call('HSET', KEYS[3], 'S', floor, 'H', string.format('%.0f', before + more),
            'T', second)
    end
    redis.call('PEXPIRE', KEYS[3], ttl)
end

local function spend(cost, reserved_second)
    local healed = redis.call('HMGET', KEYS[3], 'H', 'T')
    local credit = math.min(tonumber(healed[1] or '0'), tonumber(cost))
    if credit > 0 and reserved_second <= tonumber(healed[2]) then
        redis.call('HSET', KEYS[3], 'H', string.format('%.0f', tonumber(healed[1]) - credit))
        cost = string.format('%.0f', tonumber(cost) - credit)
    end
    add_money('S', cost)
end

local function spent_and_reserved()
    local sums = redis.call('HMGET', KEYS[3], 'S', 'R')
    return sums[1] or '0', sums[2] or '0'
end

-- ---- the three operations ----

-- ARGV: rpm, tpm, tokens; and with a budget: the budget, what was spent at least, time to live.
-- Answers: verdict (0 admitted, 1 requests, 2 tokens, 3 more than the limit itself, 4 budget), what
-- is left of requests and when their window is empty in ms, the same of tokens, when the windows
-- would let this pass in ms (-1: never), money spent and reserved.
local function reserve(rpm, tpm, tokens, budget, floor, ttl)
    local verdict, at_us, never, spent, reserved = 0, now_us, false, '0', '0'
    if rpm > 0 or tpm > 0 then load_windows() end
    give_back_by_time()
    if rpm > 0 then
        local at = fits_us(REQUESTS, 1, rpm)
        if at > now_us then verdict, at_us = 1, at end
    end
    if tpm > 0 then
        local at = fits_us(TOKENS, tokens, tpm)
        if not at then
            verdict, never = 3, true
        elseif at > at_us then
            verdict, at_us = 2, at
        end
    end
    if budget then
        heal(floor, ttl)
        spent, reserved = spent_and_reserved()
        if tonumber(spent) + tonumber(reserved) >= tonumber(budget) then verdict = 4 end
    end
    if verdict == 0 then
        if rpm > 0 then add(REQUESTS, 1) end
        if tpm > 0 then add(TOKENS, tokens) end
        if windows then save_windows() end
        redis.call('ZADD', KEYS[2], now_ms + lease, id)
        redis.call('PEXPIRE', KEYS[2], lease + 1000)
    end
    return {verdict,
        rpm > 0 and math.max(rpm - windows.sums[REQUESTS], 0) or -1,
        rpm > 0 and ms_until_empty(REQUESTS) or -1,
        tpm > 0 and math.max(tpm - windows.sums[TOKENS], 0) or -1,
        tpm > 0 and ms_until_empty(TOKENS) or -1,
        never and -1 or ms_until(at_us), spent, reserved}
end

-- What the reservation holds becomes `amount`. Answers 1; 0: that does not fit, and nothing
-- changes; -1: there is no such reservation.
local function hold(amount, budget, floor, ttl)
    give_back_by_time()
    heal(floor, ttl)
    if not redis.call('ZSCORE', KEYS[2], id) then return -1 end
    local spent, reserved = spent_and_reserved()
    local held = redis.call('HGET', KEYS[3], id) or '0'
    local more = tonumber(amount) - tonumber(held)
    if more > tonumber(budget) - tonumber(spent) - tonumber(reserved) then return 0 end
    give_back(id)
    if tonumber(amount) > 0 then
        redis.call('HSET', KEYS[3], id, amount)
        add_money('R', amount)
    end
    return 1
end

-- The end, once: a reservation that is not there was settled before, or was given back by time; what
-- that one has cost comes with a later floor. ARGV: tokens reserved and used, and with a budget: the
-- cost, what was spent at least without it, time to live. Answers 1 or 0.
local function settle(reserved, used, cost, floor, ttl)
    if cost then heal(floor, ttl) end
    local until_ms = redis.call('ZSCORE', KEYS[2], id)
    if not until_ms then return 0 end
    local reserved_second = math.floor((tonumber(until_ms) - lease) / 1000)
    redis.call('ZREM', KEYS[2], id)
    if used ~= reserved then
        load_windows()
        if used < reserved then
            take_back(TOKENS, reserved_second, reserved - used)
        else
            add(TOKENS, used - reserved)
        end
        save_windows()
    end
    if cost then
        give_back(id)
        spend(cost, reserved_second)
    end
    return 1
end

if operation == 'reserve' then
    return reserve(tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8],
        ARGV[9])
elseif operation == 'money' then
    return hold(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
end
return settle(tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8])
