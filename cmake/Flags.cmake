# How everything of ours is compiled. Asserts stay on in every build: NDEBUG is never defined.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_definitions(_GNU_SOURCE RELAY_VERSION="${PROJECT_VERSION}")
if(APPLE)
    add_compile_definitions(_DARWIN_C_SOURCE)
endif()
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror -fstack-protector-strong)

if(RELAY_SANITIZE)
    add_compile_options(-fsanitize=${RELAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${RELAY_SANITIZE})
    if(RELAY_SANITIZE MATCHES "address")
        # One malloc per arena allocation, so that the sanitizer sees every overrun and stale pointer.
        add_compile_definitions(RELAY_ARENA_MALLOC)
    endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
    if(NOT APPLE)
        add_link_options(-Wl,-z,relro,-z,now)
    endif()
    # Small functions cross the folders' libraries on every request; inlined there, they cost a tenth less.
    include(CheckIPOSupported)
    check_ipo_supported(RESULT RELAY_HAS_LTO LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${RELAY_HAS_LTO})
endif()
if(RELAY_PACKAGE)
    # The folder of the build is no part of what is built: asserts name files by their place in the tree.
    add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
    # With LTO the link compiles too, and writes its folder into the debug data that the build id is made of.
    add_link_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
endif()
if(RELAY_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
