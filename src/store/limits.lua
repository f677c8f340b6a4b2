#!lua flags=allow-oom
-- limits.lua - one key's requests, tokens and money, counted for all gateways (reference 4.2).
--
-- KEYS[1]  windows: the second they stand at, its bucket, and for requests and for tokens a sum,
--          the count of that second, and a ring of 61 buckets of 32 bits, which that count is not
--          in yet; what store/limits_window.c keeps in process
-- KEYS[2]  reservations: id -> when it is given back by time, in ms
-- KEYS[3]  the money of one period, where the key has a budget: S spent, R reserved, H and T of
--          heal(), and what each reservation holds
-- ARGV[1]  reserve, money or settle; ARGV[2] the reservation's id; ARGV[3] how long it lasts, in ms
--
-- allow-oom: a server whose memory is full of answers refuses new ones, and counts on.
--
-- This runs for every request: within a second only the head of the windows is read and written,
-- and functions are made only where they are used.
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
local HEAD, HEAD_BYTES, RING_BYTES = '<I8I4I8I8I4I4', 36, 4 * 61
local REQUESTS, TOKENS = 1, 2

-- rings: nil as long as nobody needed more than the head.
local at_second, at, sums, counts, rings

local function load_rings()
    local all = redis.call('GET', KEYS[1])
    rings = {all:sub(HEAD_BYTES + 1, HEAD_BYTES + RING_BYTES), all:sub(HEAD_BYTES + RING_BYTES + 1)}
end

local function bucket_of(kind, index)
    if index == at then return counts[kind] end
    if rings then return (struct.unpack('<I4', rings[kind], 4 * index + 1)) end
    local from = HEAD_BYTES + (kind - 1) * RING_BYTES + 4 * index
    return (struct.unpack('<I4', redis.call('GETRANGE', KEYS[1], from, from + 3)))
end

local function set_bucket(kind, index, value)
    if rings then
        local ring = rings[kind]
        rings[kind] = ring:sub(1, 4 * index) .. struct.pack('<I4', value) .. ring:sub(4 * index + 5)
    else
        redis.call('SETRANGE', KEYS[1], HEAD_BYTES + (kind - 1) * RING_BYTES + 4 * index,
            struct.pack('<I4', value))
    end
end

local function load_windows()
    local head = redis.call('GETRANGE', KEYS[1], 0, HEAD_BYTES - 1)
    if #head == HEAD_BYTES then
        sums, counts = {}, {}
        at_second, at, sums[1], sums[2], counts[1], counts[2] = struct.unpack(HEAD, head)
    end
    if not at or at >= SECONDS or second - at_second >= SECONDS then
        local empty = string.rep('\0', RING_BYTES)
        at_second, at, sums, counts, rings = second, 0, {0, 0}, {0, 0}, {empty, empty}
        return
    end
    if second <= at_second then
        -- The clock was set back. A little: time stands still here until it has caught up. More:
        -- what was counted keeps its age. Either way nothing is admitted twice.
        if second < at_second - STEP_BACK_MAX then at_second = second end
        return
    end
    load_rings()
    for kind = REQUESTS, TOKENS do set_bucket(kind, at, counts[kind]) end
    local before = at
    at = nil -- every bucket is in the ring
    for step = 1, second - at_second do
        local index = (before + step) % SECONDS
        for kind = REQUESTS, TOKENS do
            local gone = bucket_of(kind, index)
            if gone > 0 then
                sums[kind] = sums[kind] - gone
                set_bucket(kind, index, 0)
            end
        end
    end
    at, counts = (before + second - at_second) % SECONDS, {0, 0}
    at_second = second
end

local function save_windows()
    local head = struct.pack(HEAD, at_second, at, sums[1], sums[2], counts[1], counts[2])
    if rings then
        redis.call('SET', KEYS[1], head .. rings[1] .. rings[2], 'PX', WINDOW_MS)
    else
        redis.call('SETRANGE', KEYS[1], 0, head)
    end
end

local function add(kind, amount)
    amount = math.min(amount, 4294967295 - counts[kind])
    counts[kind] = counts[kind] + amount
    sums[kind] = sums[kind] + amount
end

-- ---- money ----

local add_money, give_back, heal, spend, spent_and_reserved

if KEYS[3] then
    function add_money(field, amount)
        if tonumber(amount) ~= 0 then redis.call('HINCRBY', KEYS[3], field, amount) end
    end

    -- What this reservation holds is free again.
    function give_back(reservation)
        local held = redis.call('HGET', KEYS[3], reservation)
        if held then
            redis.call('HDEL', KEYS[3], reservation)
            add_money('R', '-' .. held)
        end
    end

    -- The asking gateway knows that at least `floor` was spent: from the request log, and by its
    -- own requests. Where less is counted here, Redis has lost something, or a settlement is on its
    -- way: H is how much of what was reserved up to T is counted already, and not again.
    function heal(floor, ttl)
        local spent = tonumber(redis.call('HGET', KEYS[3], 'S') or '-1')
        if tonumber(floor) > spent then
            local more = tonumber(floor) - math.max(spent, 0)
            local before = tonumber(redis.call('HGET', KEYS[3], 'H') or '0')
            redis.call('HSET', KEYS[3], 'S', floor, 'H', string.format('%.0f', before + more),
                'T', second)
        end
        redis.call('PEXPIRE', KEYS[3], ttl)
    end

    function spend(cost, reserved_second)
        local healed = redis.call('HMGET', KEYS[3], 'H', 'T')
        local credit = math.min(tonumber(healed[1] or '0'), tonumber(cost))
        if credit > 0 and reserved_second <= tonumber(healed[2]) then
            redis.call('HSET', KEYS[3], 'H', string.format('%.0f', tonumber(healed[1]) - credit))
            cost = string.format('%.0f', tonumber(cost) - credit)
        end
        add_money('S', cost)
    end

    function spent_and_reserved()
        local sums = redis.call('HMGET', KEYS[3], 'S', 'R')
        return sums[1] or '0', sums[2] or '0'
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

-- ---- the three operations ----

if operation == 'reserve' then
    -- ARGV: rpm, tpm, tokens; and with a budget: the budget, what was spent at least, time to live.
    -- Answers: verdict (0 admitted, 1 requests, 2 tokens, 3 more than the limit itself, 4 budget),
    -- what is left of requests and when their window is empty in ms, the same of tokens, when the
    -- windows would let this pass in ms (-1: never), money spent and reserved.
    local rpm, tpm, tokens = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
    local verdict, at_us, never, spent, reserved = 0, now_us, false, '0', '0'
    if rpm > 0 or tpm > 0 then load_windows() end

    -- When the bucket of that age leaves the window.
    local function leaves_us(age)
        return (at_second - age + SECONDS) * 1000000
    end

    -- When so much more will fit if nothing else happens. It does not now, and it is not more than
    -- the limit.
    local function fits_us(kind, amount, limit)
        local sum = sums[kind]
        if not rings then load_rings() end
        for age = SECONDS - 1, 0, -1 do
            sum = sum - bucket_of(kind, (at - age) % SECONDS)
            if sum + amount <= limit then return leaves_us(age) end
        end
    end

    local function ms_until(us)
        return us <= now_us and 0 or math.floor((us - now_us + 999) / 1000)
    end

    local function ms_until_empty(kind)
        if counts[kind] > 0 then return ms_until(leaves_us(0)) end
        if not rings then load_rings() end
        for age = 1, SECONDS - 1 do
            if bucket_of(kind, (at - age) % SECONDS) > 0 then return ms_until(leaves_us(age)) end
        end
        return 0
    end

    if rpm > 0 and sums[REQUESTS] + 1 > rpm then
        verdict, at_us = 1, fits_us(REQUESTS, 1, rpm)
    end
    if tpm > 0 and tokens > tpm then
        verdict, never = 3, true
    elseif tpm > 0 and sums[TOKENS] + tokens > tpm then
        local fits = fits_us(TOKENS, tokens, tpm)
        if fits > at_us then verdict, at_us = 2, fits end
    end
    -- Once a second is enough for what only has to go; money has to come back.
    if rings or KEYS[3] or not at then give_back_by_time() end
    if KEYS[3] then
        heal(ARGV[8], ARGV[9])
        spent, reserved = spent_and_reserved()
        if tonumber(spent) + tonumber(reserved) >= tonumber(ARGV[7]) then verdict = 4 end
    end
    if verdict == 0 then
        if rpm > 0 then add(REQUESTS, 1) end
        if tpm > 0 then add(TOKENS, tokens) end
        if at then save_windows() end
        redis.call('ZADD', KEYS[2], now_ms + lease, id)
        redis.call('PEXPIRE', KEYS[2], lease + 1000)
    end
    return {verdict,
        rpm > 0 and math.max(rpm - sums[REQUESTS], 0) or -1,
        rpm > 0 and ms_until_empty(REQUESTS) or -1,
        tpm > 0 and math.max(tpm - sums[TOKENS], 0) or -1,
        tpm > 0 and ms_until_empty(TOKENS) or -1,
        never and -1 or ms_until(at_us), spent, reserved}
end

if operation == 'money' then
    -- What the reservation holds becomes an amount. ARGV: it, the budget, what was spent at least,
    -- time to live. Answers 1; 0: that does not fit, and nothing changes; -1: there is no such
    -- reservation.
    local amount, budget = ARGV[4], tonumber(ARGV[5])
    give_back_by_time()
    heal(ARGV[6], ARGV[7])
    if not redis.call('ZSCORE', KEYS[2], id) then return -1 end
    local spent, reserved = spent_and_reserved()
    local held = redis.call('HGET', KEYS[3], id) or '0'
    local more = tonumber(amount) - tonumber(held)
    if more > budget - tonumber(spent) - tonumber(reserved) then return 0 end
    give_back(id)
    if tonumber(amount) > 0 then
        redis.call('HSET', KEYS[3], id, amount)
        add_money('R', amount)
    end
    return 1
end

-- The end, once: a reservation that is not there was settled before, or was given back by time;
-- what that one has cost comes with a later floor. ARGV: tokens reserved and used, and with a
-- budget: the cost, what was spent at least without it, time to live. Answers 1 or 0.
local reserved, used = tonumber(ARGV[4]), tonumber(ARGV[5])
if KEYS[3] then heal(ARGV[7], ARGV[8]) end
local until_ms = redis.call('ZSCORE', KEYS[2], id)
if not until_ms then return 0 end
local reserved_second = math.floor((tonumber(until_ms) - lease) / 1000)
if used ~= reserved then
    load_windows()
    local age = math.max(at_second - reserved_second, 0)
    if used > reserved then
        add(TOKENS, used - reserved)
    elseif age < SECONDS then
        -- What was too much goes back to its second, as far as that is still inside.
        local index = (at - age) % SECONDS
        local count = bucket_of(TOKENS, index)
        local amount = math.min(reserved - used, count)
        if age == 0 then
            counts[TOKENS] = count - amount
        elseif amount > 0 then
            set_bucket(TOKENS, index, count - amount)
        end
        sums[TOKENS] = sums[TOKENS] - amount
    end
    save_windows()
end
redis.call('ZREM', KEYS[2], id)
if KEYS[3] then
    give_back(id)
    spend(ARGV[6], reserved_second)
end
return 1
